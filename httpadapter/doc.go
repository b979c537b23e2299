// Package httpadapter serves documented HTTP APIs, byte for byte, and the
// library's own routes under /upkeep/v1/: on a ServeMux by Register, on every
// other router as an http.Handler (see Config.Prefix for both).
//
//	api, err := httpadapter.New(httpadapter.Config{
//		Update: updates,
//		Auth:   httpadapter.Secrets{token: {ID: "ann", Role: httpadapter.Admin}},
//	})
//	…
//	api.Register(mux) // beside your own routes
//
// The documented routes are those of five documents, and answer exactly what
// these say:
//
//   - the [WNCMS Updates API]: POST /api/v1/update and /api/v1/update/progress
//   - the [row-version API] of Wuji, in Chinese: everything under /lv/,
//     and the same under /api/lv/
//   - the update status API of Magewell Control Hub: GET /api/update/status
//   - the rolling update of WeChat CloudBase:
//     POST /componenttcb/rollupdatecloudbaserunserverversion, see [RolloutAPI]
//   - the cloud sync of SiYuan, in Chinese: POST /api/sync/performSync and
//     getSyncInfo, and the WebSockets /ws and /ws/sync/progress, see [SyncAPI]
//
// GET /upkeep/v1/openapi.json describes every route as it is served, with its
// parameters, bodies and replies, also what the documents leave open: replies
// of /lv/, for one, are {"code": 200, "msg": "", "data": …}, with the HTTP status
// as code. It is the contract, together with the tests of this package, which
// ask for each case of the documents. [Adapter.Routes] is the same list for Go.
//
// Our own routes speak JSON with snake_case names, say what went wrong as
// RFC 9457 problems whose type ends in a stable slug, take a bearer token, and
// send events as Server-Sent Events that resume after the last one seen.
//
// The row-version API has a key pair for each app: in Secrets the authkey, with
// the authid as ID and the app as scope. Its Staffname is recorded with every
// change, so that only who holds a key is known for sure.
//
//	httpadapter.Secrets{authkey: {ID: authid, Role: httpadapter.Editor, Scopes: []string{appid}}}
//
// The update status has two cookies, mwcloud-sid and mwcloud-uid, each of which
// must be there once: in Secrets the secret and the ID. No other route takes them.
// Its info says what went wrong on the device to an Admin only. A bundle of
// firmware comes as a form, and streams into the slot:
//
//	curl -H "Authorization: Bearer $TOKEN" -F file=@bundle http://device/upkeep/v1/firmware/upload
//
// The rolling update has its access_token in the query. Its status is always 200,
// and what was refused is an errcode: whether the environment is one of the
// caller's comes after all arguments (see Config.Environments). Our own routes
// about rollouts leave out, or refuse, what is in an environment of somebody else.
// Below Admin they mask what may be secret, and do not say where replicas are;
// what these print is for an Admin alone.
//
// The cloud sync takes "Authorization: Token …" as well as Bearer. Its status is
// 200 for whatever its handlers refuse, and code says so. The document names events
// and no shape for them: a message of the WebSocket has the members that clients of
// the public program know, and a seq; who comes back with ?since= misses nothing, or
// is told by compacted. What it leaves open besides, such as how cloud directories
// are listed and made, follows the public program, and openapi.json calls it
// inferred. A WebSocket ends when its http.Server shuts down, or when the context
// of http.Server.BaseContext ends, within 10 seconds, for which nobody waits; after
// Close alone it lasts until its client goes.
//
// Everything is refused by default: without an [Authenticator] every route
// answers that the credential is wrong. A Reader sees runs; what their steps
// print, why they fail and in which process is shown to an Admin, who may also
// change things.
//
// A request passes, in this order, its method, its size, the origin it comes
// from, its credential, the rights of who sent it, its content, and then one
// method of a domain. HEAD never acts; cross-site requests change nothing,
// whatever their method; JSON must be what every parser reads alike, and names
// match exactly; errors that nobody outside should see go to the log under a
// request id, and only the id goes out. Where an API has the credential in the
// body, as the WNCMS one does, the body comes before it: anybody can make the
// adapter read Limits.Body bytes for 30 seconds. The server's WriteTimeout
// begins after that time. Give the server a ReadTimeout: it is for the bodies of
// your other routes, which nobody may read. What is no HTTP net/http refuses, in
// its own words.
//
// An event stream begins after the event that Last-Event-ID names, else the
// query's after, else with the next one. If what follows is no longer kept, or
// if no event has that id yet, since the history is another one after a
// restore, an event named compacted says so: whoever gets it reads the present
// anew, and the stream goes on with what happens next. The same stands, under
// its id, in the place of an event of lv that is longer than Limits.Event. The
// stream of one run ends with the run, and, if events of it are gone, with a
// compacted once it is done: who comes back after that gets a 204, at which an
// EventSource gives up.
//
// A row whose content is damaged is left out of /lv/prod and /lv/gray, whose
// rows have only members of their contents; in every other list its content is
// null, on our own routes beside "corrupt": true. To ask for it alone, to publish
// it or to compare it is a 500 that names row and version (slug corrupt).
//
// Readers of /lv/prod and /lv/gray ask for less as public clients of the original
// do: filter=isShow=true (escaped, several with & between; the value of a string
// is its text, that of anything else its JSON), include=a,b or exclude=_ctime,_mtime
// of the members, _id and the like included, sort=weight and order=desc, size
// and page, or size and after. A list that is sorted is in memory until its
// last row has come, but for the contents, and counts as a long reply. Names with a
// dot are attributes of a visitor. On these routes, and on status, list and record
// with theirs (size, page and after), a name that is not known is a 400: who asks
// for less would get more than that. All of it may also be the body's query, of
// prod and gray.
//
// The routes named changelists are for the drafts of lv, which [lv.Table.Draft]
// makes: one is approved, scheduled, and applied or cancelled. Applied, it is one
// of the releases too, and is reverted there.
//
// The routes of an API stand in one table, see [Adapter.Routes]: registration,
// dispatch by method, the description and most of the tests come from it.
//
// The adapter trusts what the server tells it about a request. Behind a proxy
// every request comes from the proxy's address, and all clients share its
// Limits.Logins: a middleware before the adapter must set Request.RemoteAddr
// from what that proxy, and nobody else, says. Behind a proxy that reads
// ambiguous requests in another way than net/http, such as one with both
// Content-Length and Transfer-Encoding, let the proxy refuse them.
//
// An open event stream ends with its client, so http.Server.Shutdown would wait
// for it for ever, as it does for an update whose client waits. Give Shutdown a
// context with a deadline, and then call Close:
//
//	if err := server.Shutdown(ctx); err != nil {
//		server.Close() // ends the streams; updates go on until their Updater closes
//	}
//
// To change it, read routes.go first, what is between this package and that
// which serves tables of routes, internal/web; then update.go and
// update_runs.go, or lv.go and lv_own.go, or firmware.go and firmware_own.go, or rollout.go and
// rollout_own.go, or sync.go and sync_own.go, the documented and the own rows of a domain; runs.go serves the runs of any. auth.go has who may do what. The way of a request to its handler,
// event streams, how bodies are read and failures are told are in internal/web.
//
// [WNCMS Updates API]: https://doc.wncms.cc/api/endpoints/updates
// [row-version API]: https://shiply.tds.qq.com/document/data-manage/api/data-management-open-interfaces/version-management-interfaces-row-level
package httpadapter

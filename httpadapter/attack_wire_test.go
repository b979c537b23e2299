package httpadapter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// wireInput is what only a connection can bring.
type wireInput struct {
	name string
	// parts are sent one after another, a second apart.
	parts []string
	// gone is true for a client that leaves without waiting for a reply.
	gone bool
	// want are the statuses that come back. survived: any but a failure of
	// ours; none: nothing comes back.
	want []int
	// theirs is true if net/http refuses it before anything of ours sees it.
	theirs bool
}

// head returns the request up to its body, with lines in place of those that
// say how long that is.
func (r request) head(lines ...string) string {
	var text strings.Builder
	query := strings.TrimSuffix("?"+r.query, "?")
	fmt.Fprintf(&text, "%s %s%s HTTP/1.1\r\nHost: site\r\n", r.method, r.path, query)
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		for _, value := range r.header[name] {
			fmt.Fprintf(&text, "%s: %s\r\n", name, value)
		}
	}
	for _, line := range lines {
		text.WriteString(line + "\r\n")
	}
	return text.String() + "\r\n"
}

// whole returns the request with further header lines.
func (r request) whole(lines ...string) string {
	return r.head(append(lines, fmt.Sprintf("Content-Length: %d", len(r.body)))...) + r.body
}

// chunks returns text as one chunk and the end.
func chunks(text string) string {
	if text == "" {
		return "0\r\n\r\n"
	}
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text)
}

// wireInputs are those that fit the target.
func (t target) wireInputs() []wireInput {
	good := t.good()
	theirs := func(name, text string, status int) wireInput {
		return wireInput{name: name, parts: []string{text}, want: []int{status}, theirs: true}
	}
	served := func(name, text string) wireInput {
		return wireInput{name: name, parts: []string{text}, want: []int{survived}}
	}
	line, rest, _ := strings.Cut(good.whole(), "\r\n")
	all := []wireInput{
		theirs("an escape that is none", strings.Replace(good.whole(), t.path, t.path+"%zz", 1), 400),
		theirs("a NUL in the path", strings.Replace(good.whole(), t.path, t.path+"\x00", 1), 400),
		theirs("a space in the path", strings.Replace(good.whole(), t.path, t.path+" x", 1), 400),
		theirs("two lengths", good.head("Content-Length: 5", "Content-Length: 6")+"hello", 400),
		theirs("a length of no digits", good.head("Content-Length: +5")+"hello", 400),
		theirs("a space before the colon", good.head("Transfer-Encoding : chunked")+chunks("{}"), 400),
		theirs("a length in an encoding of no kind", good.head("Transfer-Encoding: x")+"{}", 501),
		theirs("a line feed alone in a header", good.whole("Staffname: a\rX-Evil: 1"), 400),
		theirs("a NUL in a header", good.whole("X-A: \x00"), 400),
		theirs("no host", line+"\r\n"+strings.Replace(rest, "Host: site\r\n", "", 1), 400),
		theirs("two hosts", good.whole("Host: evil.example"), 400),
		theirs("2 MiB of header", good.whole("X-A: "+strings.Repeat("x", 2<<20)), 431),
		theirs("an expectation of no kind", good.whole("Expect: the-spanish-inquisition"), 417),
		theirs("HTTP 9", strings.Replace(good.whole(), "HTTP/1.1", "HTTP/9.0", 1), 505),
		theirs("no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
		served("10,000 lines of header", good.whole(slices.Repeat([]string{"X-A: x"}, 10_000)...)),
		served("a folded header", good.whole("X-A: a\r\n b")),
		served("HTTP 1.0", strings.Replace(good.whole(), "HTTP/1.1", "HTTP/1.0", 1)),
		served("another host", strings.Replace(good.whole(), "Host: site", "Host: evil.example", 1)),
		served("the host in the line", strings.Replace(good.whole(), " /", " http://evil.example/", 1)),
		served("a length and chunks", good.head("Content-Length: 4", "Transfer-Encoding: chunked")+chunks(good.body)),
		served("a request to switch", good.whole("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x")),
		{name: "gone after the head", parts: []string{good.head("Content-Length: 10")}, gone: true},
		{name: "gone in the body", parts: []string{good.head("Content-Length: 1000"), "{"}, gone: true},
		{name: "gone in a chunk", parts: []string{good.head("Transfer-Encoding: chunked"), "5\r\n{"}, gone: true},
	}
	for _, method := range []string{"BREW", strings.ToLower(t.method), "OPTIONS", "TRACE"} {
		r := good
		r.method = method
		all = append(all, wireInput{name: "the method " + method, parts: []string{r.whole()}, want: []int{405}})
	}
	if t.body == "" {
		inside := "DELETE " + t.path + " HTTP/1.1\r\nHost: site\r\n\r\n"
		return append(all, wireInput{
			name: "a request in a body that nobody reads", parts: []string{good.head(fmt.Sprintf("Content-Length: %d", len(inside))) + inside},
			want: []int{survived},
		})
	}
	return append(all, t.wireBodies()...)
}

// wireBodies are bodies that end too soon, or never.
func (t target) wireBodies() []wireInput {
	good := t.good()
	bad := func(name string, parts ...string) wireInput {
		return wireInput{name: name, parts: parts, want: []int{400}}
	}
	announced := func(length int, lines ...string) string {
		return good.head(append(lines, fmt.Sprintf("Content-Length: %d", length))...)
	}
	tooLong := int(t.wire.Body) + 1
	all := []wireInput{
		bad("less than is announced", announced(len(t.body)+10), t.body),
		bad("a byte a second", append([]string{announced(60)}, slices.Repeat([]string{" "}, 59)...)...),
		bad("chunks without an end", good.head("Transfer-Encoding: chunked"), "2\r\n{}\r\n"),
		bad("a chunk of no length", good.head("Transfer-Encoding: chunked")+"x\r\n{}\r\n0\r\n\r\n"),
		bad("a chunk of a negative length", good.head("Transfer-Encoding: chunked")+"-2\r\n{}\r\n0\r\n\r\n"),
		bad("a chunk of 2^64 bytes", good.head("Transfer-Encoding: chunked")+"10000000000000000\r\n{}\r\n0\r\n\r\n"),
		bad("two values in two chunks", good.head("Transfer-Encoding: chunked")+"2\r\n{}\r\n"+chunks("{}")),
		{name: "a length beyond the limit", parts: []string{announced(tooLong)}, want: []int{413}},
		{name: "a length beyond the limit, after a question", parts: []string{announced(tooLong, "Expect: 100-continue")}, want: []int{413}},
		{name: "a length of 2^63-1", parts: []string{good.head("Content-Length: 9223372036854775807")}, want: []int{413}},
		{
			name: "chunks beyond the limit", want: []int{413},
			parts: []string{good.head("Transfer-Encoding: chunked"), chunks(strings.Repeat(" ", tooLong))},
		},
		{
			name: "a good question", want: []int{100, survived},
			parts: []string{announced(len(t.body), "Expect: 100-continue"), t.body},
		},
	}
	// Who has no credential is not asked for a body, unless that is where it is.
	want := []int{401}
	if !t.own && !documentsRows(t.Pattern) && !documentsRollouts(t.Pattern) && !documentsSync(t.Pattern) {
		want = []int{100, 401}
	}
	stranger := t.stranger()
	if t.wire.File { // a device that is busy refuses it before it reads
		all = slices.DeleteFunc(all, func(in wireInput) bool {
			return in.name == "less than is announced" || in.name == "chunks beyond the limit"
		})
	}
	return append(all, wireInput{
		name: "a question of a stranger", want: want,
		parts: []string{stranger.head("Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(stranger.body))), stranger.body},
	})
}

// stranger returns the good request of somebody whose secret is wrong.
func (t target) stranger() request {
	r := t.good()
	r.query, r.body = strings.NewReplacer(appKey, "x", admin, "x").Replace(r.query), strings.Replace(r.body, admin, "x", 1)
	if t.own || documentsSync(t.Pattern) {
		r = r.with("Authorization", "Bearer x")
	}
	return r
}

// wireReply is one reply on a connection.
type wireReply struct {
	reply
	err error // of reading its body
}

// talk sends the input over a connection of its own, and returns what comes
// back within two minutes, which do not take long.
func (in wireInput) talk(t *testing.T, l *pipeListener, method string) (replies []wireReply) {
	connection, err := l.dial(context.Background(), "", "")
	require.NoError(t, err)
	require.NoError(t, connection.SetReadDeadline(time.Now().Add(2*time.Minute))) // which fails once the server gave up
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, part := range in.parts {
			if _, err := io.WriteString(connection, part); err != nil {
				return // the server has heard enough
			}
			time.Sleep(time.Second)
		}
		if in.gone {
			_ = connection.Close()
		}
	}()
	text := bufio.NewReader(connection)
	for {
		r, err := http.ReadResponse(text, &http.Request{Method: method})
		if err != nil {
			break
		}
		got := wireReply{reply: reply{Response: r, method: method}}
		if r.Header.Get("Content-Type") != "text/event-stream" {
			var body []byte
			body, got.err = io.ReadAll(r.Body)
			got.text = string(body)
			got.reply = got.meant()
		}
		replies = append(replies, got)
		if r.Header.Get("Content-Type") == "text/event-stream" {
			break
		}
	}
	_ = connection.Close()
	<-sent
	synctest.Wait()
	return replies
}

// strikeWire sends an input to a target, and returns what that does wrong.
func (s *site) strikeWire(t *testing.T, l *pipeListener, target target, in wireInput) error {
	before := s.state(t)
	method := target.method
	if in.theirs {
		method = http.MethodGet // net/http sends a body even if it has not read the method
	}
	replies := in.talk(t, l, method)
	s.settle(t)
	changed := s.state(t) != before
	var statuses []int
	for _, r := range replies {
		statuses = append(statuses, r.StatusCode)
	}
	if len(statuses) != len(in.want) {
		return fmt.Errorf("is answered with %v, want %v", statuses, in.want)
	}
	acts := in.gone && target.body == "" && target.Changes // which does not wait for a body
	for i, r := range replies {
		acts = acts || r.StatusCode < 300 && target.Changes
		switch {
		case in.want[i] == survived && r.StatusCode >= 500, in.want[i] != survived && in.want[i] != r.StatusCode:
			return fmt.Errorf("is answered with %v, want %v: %.200s", statuses, in.want, r.text)
		case r.err != nil:
			return fmt.Errorf("is answered in part: %w", r.err)
		case in.theirs || r.StatusCode == http.StatusContinue:
			continue
		}
		if err := envelope(target, r.reply); err != nil {
			return err
		}
	}
	if changed && !acts {
		return fmt.Errorf("changes something, with %v", statuses)
	}
	return nil
}

// attackWire strikes a target with everything that fits it. It is called in a
// bubble.
func (s *site) attackWire(t *testing.T, target target) (findings []finding) {
	l, _ := s.listen(t)
	for _, in := range target.wireInputs() {
		if err := s.strikeWire(t, l, target, in); err != nil {
			findings = append(findings, finding{target.method + " " + target.Pattern, in.name, err.Error()})
		}
	}
	return findings
}

func TestNoRouteFallsForAHostileConnection(t *testing.T) {
	for _, target := range eachLimited(t) {
		if target.twin {
			continue
		}
		t.Run(target.method+" "+target.Pattern, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, f := range narrowSite(t, nil, target.limitOf()).attackWire(t, target) {
					t.Error(f)
				}
			})
		})
	}
}

func TestAttackFindsWhatIsWrongOnAConnection(t *testing.T) {
	tests := []brokenRoute{
		{name: "sound", methods: "POST", changes: true, do: act},
		{
			name: "takes half a body for a whole", methods: "POST", changes: true, bare: true,
			found: []string{"less than is announced: is answered with [200], want [400]", "a chunk of no length: is answered with [200]"},
			do: func(s *site, w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				answerWell(s, w, r)
			},
		},
		{
			name: "acts before it has the whole body", methods: "POST", changes: true, bare: true,
			found: []string{"gone in the body: changes something"},
			do: func(s *site, w http.ResponseWriter, r *http.Request) {
				s.acted.Add(1)
				_, _ = io.ReadAll(r.Body)
				answerWell(s, w, r)
			},
		},
		{
			name: "gives up the connection", methods: "GET", bare: true, found: []string{"another host: is answered with []"},
			do: func(s *site, w http.ResponseWriter, r *http.Request) {
				if r.Host != "site" {
					panic(http.ErrAbortHandler)
				}
				answerWell(s, w, r)
			},
		},
	}
	for _, broken := range tests {
		t.Run(broken.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hostileSite(t, broken.addTo)
				for _, target := range s.attacked() {
					if strings.HasPrefix(target.Pattern, added) {
						broken.isFound(t, s.attackWire(t, target))
					}
				}
			})
		})
	}
}

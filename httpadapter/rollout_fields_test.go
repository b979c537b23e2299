package httpadapter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// rolled is a port with a service that has all that a body may leave out, behind
// the documented route.
type rolled struct {
	*port
	t   testing.TB
	mux *http.ServeMux
}

var web1 = rollout.ServiceID{Env: "test", Name: "web"}

// full is a content in which everything is set.
func full() rollout.Spec {
	port, cpu, mem, logs, least, most := 81, 0.5, int64(1<<30), "out.log", 1, 4
	return rollout.Spec{
		Source: &rollout.Source{Kind: "gitlab", URL: "https://example.invalid/a", Branch: "old", Dir: "sub", Dockerfile: "Dockerfile.old"},
		Port:   &port, CPU: &cpu, Memory: &mem, Logs: &logs, MinReplicas: &least, MaxReplicas: &most,
		Environment: map[string]string{"A": "1"}, Scaling: []rollout.Scaling{{Resource: "mem", Threshold: 70}},
		Health:  &rollout.Health{Path: "/up", Delay: 7 * time.Second},
		Volumes: []rollout.Volume{{Name: "old", Path: "/old"}}, Extra: map[string]string{"is_rebuild": "true"},
	}
}

func newRolled(t testing.TB) *rolled {
	r := &rolled{port: newPort(t, memory.New(), nil), t: t, mux: http.NewServeMux()}
	path := "/"
	spec := full()
	spec.Path = &path
	r.roll(t, rollout.Request{Service: web1, Version: "v1", Spec: spec})
	adapter, err := httpadapter.New(httpadapter.Config{
		Rollout: r.Controller, Logger: quiet, Auth: httpadapter.Secrets{admin: {ID: "ann", Role: httpadapter.Admin, Scopes: []string{"test"}}},
	})
	require.NoError(t, err)
	adapter.Register(r.mux)
	return r
}

// wechat sends the documented request, and returns the code and the run.
func (r *rolled) wechat(fields string) (code int, id string) {
	w := httptest.NewRecorder()
	r.mux.ServeHTTP(w, httptest.NewRequest("POST", rollPath+"?access_token="+admin, strings.NewReader(rollBody(fields))))
	require.Equal(r.t, http.StatusOK, w.Code, w.Body.String())
	var reply struct {
		Code int    `json:"errcode"`
		Run  string `json:"run_id"`
	}
	require.NoError(r.t, json.Unmarshal(w.Body.Bytes(), &reply), w.Body.String())
	return reply.Code, reply.Run
}

const rollPath = "/componenttcb/rollupdatecloudbaserunserverversion"

// rollBody is a good body with other fields, of which null takes one out.
func rollBody(fields string) string {
	body := map[string]json.RawMessage{
		"env_id": []byte(`"test"`), "server_name": []byte(`"web"`), "version_name": []byte(`"v1"`), "upload_type": []byte(`"repository"`),
	}
	if err := json.Unmarshal([]byte("{"+fields+"}"), &body); err != nil {
		panic(fields + ": " + err.Error())
	}
	return encodedText(body)
}

// rolledFields are what becomes of each field: the members of the run that it
// changes, as JSON, by their names in Go. Nothing else of the content changes.
var rolledFields = []struct {
	field, body string
	changes     map[string]string
}{
	{"env_id", ``, map[string]string{"Service.Env": `"test"`}},
	{"server_name", ``, map[string]string{"Service.Name": `"web"`}},
	{"version_name", `"version_name":"latest"`, map[string]string{"Revision.Version": `"v1"`, "Request.Replace": `"latest"`}},
	{"upload_type", `"upload_type":"package","package_name":"p"`, map[string]string{"Spec.Source": `null`, "Spec.Package": `{"Name":"p","Version":""}`}},
	{"repository_type", `"repository_type":"github"`, map[string]string{"Spec.Source.Kind": `"github"`}},
	{"repository", `"repository":"https://example.invalid/b"`, map[string]string{"Spec.Source.URL": `"https://example.invalid/b"`}},
	{"branch", `"branch":"new"`, map[string]string{"Spec.Source.Branch": `"new"`}},
	{"build_dir", `"build_dir":"other"`, map[string]string{"Spec.Source.Dir": `"other"`}},
	{"dockerfile_path", `"dockerfile_path":"d/Dockerfile"`, map[string]string{"Spec.Source.Dockerfile": `"d/Dockerfile"`}},
	{"dockerfile_path", `"dockerfile_path":"d","upload_type":"image","image_info":{"image_url":"x"}`, map[string]string{
		"Spec.Source": `null`, "Spec.Image": `{"Repository":"","Tag":"","URL":"x"}`,
	}},
	{"code_detail.url", `"code_detail":{"url":"https://example.invalid/c"}`, map[string]string{"Spec.Source.URL": `"https://example.invalid/c"`}},
	{"code_detail.url", `"code_detail":{"url":"https://example.invalid/c"},"repository":"https://example.invalid/d"`, map[string]string{
		"Spec.Source.URL": `"https://example.invalid/d"`,
	}},
	{"code_detail.name", `"code_detail":{"url":"https://example.invalid/a","name":{"name":"a","full_name":"o/a"}}`, map[string]string{
		"Spec.Extra": `{"is_rebuild":"true","code_detail.name.name":"a","code_detail.name.full_name":"o/a"}`,
	}},
	{"package_name", `"upload_type":"package","package_name":"p"`, map[string]string{"Spec.Source": `null`, "Spec.Package": `{"Name":"p","Version":""}`}},
	{"package_version", `"upload_type":"package","package_name":"p","package_version":"2"`, map[string]string{
		"Spec.Source": `null`, "Spec.Package": `{"Name":"p","Version":"2"}`,
	}},
	{"image_info", `"upload_type":"image","image_info":{"repository_name":"r","tag_name":"t","image_url":"u"}`, map[string]string{
		"Spec.Source": `null`, "Spec.Image": `{"Repository":"r","Tag":"t","URL":"u"}`,
	}},
	{"image_info.is_public", `"image_info":{"is_public":false}`, map[string]string{"Spec.Extra": `{"is_rebuild":"true","image_info.is_public":"false"}`}},
	{"image_info.server_addr", `"image_info":{"server_addr":"a"}`, map[string]string{"Spec.Extra": `{"is_rebuild":"true","image_info.server_addr":"a"}`}},
	{"flow_ratio", `"flow_ratio":30`, map[string]string{"Request.Share": `30`, "Split.Weights": `[{"Version":"v1","Run":"run-1","Percent":70},{"Version":"v1","Run":"run-2","Percent":30}]`}},
	{"flow_ratio", `"flow_ratio":0`, map[string]string{"Request.Share": `0`, "Split.Weights": `[{"Version":"v1","Run":"run-1","Percent":100},{"Version":"v1","Run":"run-2","Percent":0}]`}},
	{"flow_ratio", ``, map[string]string{"Request.Share": `null`}},
	{"cpu", `"cpu":"0.25"`, map[string]string{"Spec.CPU": `0.25`}},
	{"cpu", `"cpu":0.25`, map[string]string{"Spec.CPU": `0.25`}},
	{"mem", `"mem":"0.5"`, map[string]string{"Spec.Memory": `536870912`}},
	{"mem", `"mem":2`, map[string]string{"Spec.Memory": `2147483648`}},
	{"min_num", `"min_num":"2"`, map[string]string{"Spec.MinReplicas": `2`}},
	{"min_num", `"min_num":0`, map[string]string{"Spec.MinReplicas": `0`}},
	{"max_num", `"max_num":"3"`, map[string]string{"Spec.MaxReplicas": `3`}},
	{"max_num", `"max_num":3`, map[string]string{"Spec.MaxReplicas": `3`}},
	{"policy_type", `"policy_type":"cpu"`, map[string]string{"Spec.Scaling": `[{"Resource":"cpu","Threshold":60}]`}},
	{"policy_threshold", `"policy_threshold":"50"`, map[string]string{"Spec.Scaling": `[{"Resource":"mem","Threshold":50}]`}},
	{"policy_threshold", `"policy_type":"cpu","policy_threshold":50`, map[string]string{"Spec.Scaling": `[{"Resource":"cpu","Threshold":50}]`}},
	{"policy_detail", `"policy_type":"mem","policy_detail":[{"policy_type":"cpu","policy_threshold":"40"},{"policy_type":"mem"}]`, map[string]string{
		"Spec.Scaling": `[{"Resource":"cpu","Threshold":40},{"Resource":"mem","Threshold":60}]`,
	}},
	{"policy_detail", `"policy_detail":[]`, map[string]string{"Spec.Scaling": `null`}},
	{"env_params", `"env_params":"{\"B\":\"\",\"C\":1.50,\"D\":true}"`, map[string]string{"Spec.Environment": `{"B":"","C":"1.50","D":"true"}`}},
	{"env_params", `"env_params":"{}"`, map[string]string{"Spec.Environment": `null`}},
	{"env_params", `"env_params":""`, nil},
	{"container_port", `"container_port":8080`, map[string]string{"Spec.Port": `8080`}},
	{"initial_delay_seconds", `"initial_delay_seconds":2`, map[string]string{"Spec.Health.Delay": `2000000000`}},
	{"initial_delay_seconds", `"initial_delay_seconds":0`, map[string]string{"Spec.Health.Delay": `0`}},
	{"mount_volume_info", `"mount_volume_info":[{"name":"v","mount_path":"/d","nfs_volumes":[{"server":"s","path":"/p","read_only":true,"secret_name":"k","enable_empty_dir_volume":true}]}]`, map[string]string{
		"Spec.Volumes": `[{"Name":"v","Path":"/d","ReadOnly":true,"Server":"s","From":"/p","Secret":"k","Temporary":true}]`,
	}},
	{"mount_volume_info", `"mount_volume_info":[]`, map[string]string{"Spec.Volumes": `null`}},
	{"custom_logs", `"custom_logs":"stdout"`, map[string]string{"Spec.Logs": `"stdout"`}},
	{"server_path", `"server_path":"/other"`, nil},
	{"version_remark", `"version_remark":"why"`, map[string]string{"Request.Remark": `"why"`}},
	{"is_rebuild", `"is_rebuild":false`, map[string]string{"Spec.Extra": `{"is_rebuild":"false"}`}},
	{"enable_union", `"enable_union":true`, map[string]string{"Spec.Extra": `{"is_rebuild":"true","enable_union":"true"}`}},
	{"is_update_cls", `"is_update_cls":true`, map[string]string{"Spec.Extra": `{"is_rebuild":"true","is_update_cls":"true"}`}},
}

func TestEachFieldOfTheRollingUpdateDoesWhatItsTableSays(t *testing.T) {
	for _, tt := range rolledFields {
		t.Run(tt.field+" "+tt.body, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRolled(t)
				before := r.fleetSpec(t)
				code, id := r.wechat(tt.body)
				require.Zero(t, code)
				run, _, err := r.finished(t.Context(), id)
				require.NoError(t, err)
				got := map[string]any{}
				require.NoError(t, json.Unmarshal([]byte(encodedText(run)), &got))
				want := before
				for place, value := range tt.changes {
					require.JSONEq(t, value, encodedText(placed(got, place)), place)
					if rest, ok := strings.CutPrefix(place, "Spec."); ok {
						put(want, rest, value)
					}
				}
				require.Equal(t, want, got["Spec"])
				require.Equal(t, "ann", run.Request.By.Actor)
			})
		})
	}
}

// fleetSpec is the content that the service has, as JSON has it.
func (r *rolled) fleetSpec(t testing.TB) (spec map[string]any) {
	st, err := r.Status(t.Context(), web1)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(encodedText(st.Service.Revisions[0].Spec)), &spec))
	return spec
}

func placed(object any, place string) any {
	for name := range strings.SplitSeq(place, ".") {
		object = object.(map[string]any)[name]
	}
	return object
}

func put(object map[string]any, place, value string) {
	names := strings.Split(place, ".")
	for _, name := range names[:len(names)-1] {
		object = object[name].(map[string]any)
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		panic(err)
	}
	object[names[len(names)-1]] = v
}

// The rows of the table, those of the tests and the members of the body are the
// same.
func TestTheTableOfTheRollingUpdateIsWhole(t *testing.T) {
	text, err := os.ReadFile("rollout_wire.go")
	require.NoError(t, err)
	said := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^//\t([a-z_.]+) +(applied|recorded)`).FindAllStringSubmatch(string(text), -1) {
		said[row[1]] = true
	}
	tested := map[string]bool{"rollback": true, "snapshot_name": true} // below
	for _, tt := range rolledFields {
		tested[tt.field] = true
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(said)), slices.Collect(maps.Keys(tested)))
	members := map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		adapter, err := httpadapter.New(httpadapter.Config{Rollout: newPort(t, memory.New(), nil).Controller})
		require.NoError(t, err)
		for name := range adapter.Wire(rollPath, "POST").Members {
			members[name] = true
		}
	})
	top := map[string]bool{}
	for field := range said {
		name, _, _ := strings.Cut(field, ".")
		top[name] = true
	}
	require.Equal(t, members, top)
}

func TestTheRollingUpdateGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolled(t)
		for _, step := range []struct{ fields, branch, undoes string }{
			{`"branch":"two"`, "two", ""},
			{`"branch":"three"`, "three", ""},
			{`"rollback":true,"upload_type":null`, "two", "run-3"},
			{`"rollback":true,"upload_type":null,"snapshot_name":"run-1"`, "old", ""},
			{`"rollback":true,"upload_type":null,"flow_ratio":100`, "two", ""}, // with a share it is no taking back
		} {
			code, id := r.wechat(step.fields)
			require.Zero(t, code, step.fields)
			run, _, err := r.finished(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, []string{step.branch, step.undoes}, []string{run.Spec.Source.Branch, run.Undoes}, step.fields)
		}
		for _, fields := range []string{`"snapshot_name":"run-1"`, `"rollback":true,"snapshot_name":"run-99"`} {
			code, _ := r.wechat(fields)
			require.Equal(t, 40097, code, fields)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		code, _ := newRolled(t).wechat(`"rollback":true`)
		require.Equal(t, 40097, code, "there is nothing before the first")
	})
}

func TestTheRollingUpdateRefusesInTheDocumentedOrder(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		code         int
	}{
		{"an environment of somebody else", `"env_id":"other"`, 85088},
		{"and a bad argument", `"env_id":"other","flow_ratio":101`, 40097},
		{"and a field that is missing", `"env_id":"other","server_name":""`, 40101},
		{"and a wrong type", `"env_id":"other","branch":1`, 47001},
		{"an unknown service", `"server_name":"nobody"`, 40097},
		{"an unknown version", `"version_name":"nobody"`, 40097},
		{"a share that is not whole", `"flow_ratio":0.5`, 40097},
		{"a share beyond numbers", `"flow_ratio":1e400`, 40097},
		{"a port in quotes", `"container_port":"80"`, 47001},
		{"no replicas in hexadecimal", `"min_num":"0x1"`, 40097},
		{"a number that is a truth", `"cpu":true`, 47001},
		{"no memory", `"mem":"0"`, 40097},
		{"infinite cores", `"cpu":"1e400"`, 40097},
		{"a list that is an object", `"policy_detail":{}`, 47001},
		{"a policy of nothing", `"policy_detail":[{"policy_threshold":5}]`, 40097},
		{"two policies of one kind", `"policy_detail":[{"policy_type":"cpu"},{"policy_type":"cpu"}]`, 40097},
		{"an environment that is a list", `"env_params":"[]"`, 40097},
		{"an environment that is null", `"env_params":"null"`, 40097},
		{"an environment with a list", `"env_params":"{\"A\":[]}"`, 40097},
		{"an environment with a name twice", `"env_params":"{\"A\":\"\",\"A\":\"\"}"`, 40097},
		{"a variable that is none", `"env_params":"{\"A=B\":\"\"}"`, 40097},
		{"logs elsewhere", `"custom_logs":"../x"`, 40097},
		{"a source elsewhere", `"build_dir":"a/../../b"`, 40097},
		{"a source at the root", `"build_dir":"/etc"`, 40097},
		{"a path that is none", `"server_path":"x"`, 40097},
		{"a mount elsewhere", `"mount_volume_info":[{"mount_path":"/a/../b"}]`, 40097},
		{"two folders at one place", `"mount_volume_info":[{"mount_path":"/a","nfs_volumes":[{},{}]}]`, 40097},
		{"a kind of repository", `"repository_type":"svn"`, 40097},
		{"code without a place", `"code_detail":{"name":{"name":"x"}}`, 40101},
		{"a package without a name", `"upload_type":"package"`, 40101},
		{"a name with a line feed", `"server_name":"a\nb"`, 40097},
		{"a remark too long", `"version_remark":"` + strings.Repeat("x", 5000) + `"`, 40097},
		{"a body too long", `"version_remark":"` + strings.Repeat("x", 70_000) + `"`, 40097},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRolled(t)
				code, _ := r.wechat(tt.fields)
				require.Equal(t, tt.code, code)
				st, err := r.Status(t.Context(), web1)
				require.NoError(t, err)
				require.Nil(t, st.Run)
			})
		})
	}
}

func TestWhatTheDeployerSaysIsPassedOn(t *testing.T) {
	for err, code := range map[error]int{
		errors.ErrUnsupported: 40097, rollout.ErrInvalid: 40097, rollout.ErrBusy: -1, errors.New("the machine is on fire"): -1000,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRolled(t)
			r.fleet.check = func(rollout.Spec) ([]string, error) { return nil, fmt.Errorf("images: %w", err) }
			got, _ := r.wechat("")
			require.Equal(t, code, got, err)
		})
	}
}

func TestARollingUpdateAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolled(t)
		code, id := r.wechat("")
		require.Zero(t, code)
		code, _ = r.wechat("")
		require.Equal(t, -1, code)
		_, _, err := r.finished(t.Context(), id)
		require.NoError(t, err)
		code, _ = r.wechat("")
		require.Zero(t, code, "though nothing changes")
		require.NoError(t, r.Close())
		code, _ = r.wechat("")
		require.Equal(t, -1, code, "the server ends")
	})
}

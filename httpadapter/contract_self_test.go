package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
)

// The runner of the contract is proved by cases that must fail, each beside
// one that differs in a word and passes.
func TestContractRunnerTellsGoodFromBad(t *testing.T) {
	const progress = `{"method":"POST","path":"/api/v1/update/progress","headers":{"Content-Type":"application/json"},
		"body":{"api_token":"T","itemId":"core"}}`
	const idle = `{"status":"success","message":"Successfully fetched updating progress","progress":0}`
	with := func(expect string) string { return `"request":` + progress + `,"expect":` + expect }
	tests := []struct{ name, good, bad, says string }{
		{"status", with(`{"status":200}`), with(`{"status":201}`), "status"},
		{"status missing", with(`{"status":200}`), with(`{}`), "no status"},
		{"exact value", with(`{"status":200,"json_exact":` + idle + `}`),
			with(`{"status":200,"json_exact":{"status":"success","message":"Successfully fetched updating progress","progress":1}}`), "progress"},
		{"exact members", with(`{"status":200,"json_exact":` + idle + `}`),
			with(`{"status":200,"json_exact":{"status":"success","progress":0}}`), "members"},
		{"subset value", with(`{"status":200,"json_subset":{"progress":0}}`), with(`{"status":200,"json_subset":{"progress":1}}`), "progress"},
		{"subset of another type", with(`{"status":200,"json_subset":{"progress":0}}`), with(`{"status":200,"json_subset":{"progress":"0"}}`), "progress"},
		{"subset member", with(`{"status":200,"json_subset":{"status":"success"}}`), with(`{"status":200,"json_subset":{"version":"$any"}}`), "absent"},
		{"subset object", with(`{"status":200,"json_subset":{"status":"success"}}`), with(`{"status":200,"json_subset":{"status":{"a":1}}}`), "object"},
		{"subset null", with(`{"status":200,"json_subset":{"status":"$any"}}`), with(`{"status":200,"json_subset":{"status":null}}`), "status"},
		{"subset array", with(`{"status":200,"json_subset":{"status":"$any"}}`), with(`{"status":200,"json_subset":[]}`), "array"},
		{"absent", with(`{"status":200,"json_absent":["version"]}`), with(`{"status":200,"json_absent":["progress"]}`), "progress"},
		{"empty body", `"request":{"method":"HEAD","path":"/api/v1/update"},"expect":{"status":405,"body_empty":true}`,
			with(`{"status":200,"body_empty":true}`), "want none"},
		{"header", with(`{"status":200,"header":{"Content-Type":"^application/json"}}`),
			with(`{"status":200,"header":{"Content-Type":"^text/"}}`), "Content-Type"},
		{"header missing", with(`{"status":200,"header":{"Content-Type":"."}}`), with(`{"status":200,"header":{"Location":"."}}`), "Location"},
		{"Allow is exact", `"request":{"method":"GET","path":"/api/v1/update"},"expect":{"status":405,"header":{"Allow":"POST"}}`,
			`"request":{"method":"GET","path":"/api/v1/update"},"expect":{"status":405,"header":{"Allow":"P.ST"}}`, "Allow"},
		{"$string", with(`{"status":200,"json_subset":{"status":"$string"}}`), with(`{"status":200,"json_subset":{"progress":"$string"}}`), "$string"},
		{"$nonempty", with(`{"status":200,"json_subset":{"status":"$nonempty"}}`), with(`{"status":200,"json_subset":{"progress":"$nonempty"}}`), "$nonempty"},
		{"$number", with(`{"status":200,"json_subset":{"progress":"$number"}}`), with(`{"status":200,"json_subset":{"status":"$number"}}`), "$number"},
		{"$nonzero", with(`{"status":200,"json_subset":{"progress":"$number"}}`), with(`{"status":200,"json_subset":{"progress":"$nonzero"}}`), "$nonzero"},
		{"$array", with(`{"status":200,"json_subset":{"status":"$any"}}`), with(`{"status":200,"json_subset":{"status":"$array"}}`), "$array"},
		{"$array:N", with(`{"status":200,"json_subset":{"status":"$any"}}`), with(`{"status":200,"json_subset":{"status":"$array:2"}}`), "$array:2"},
		{"matcher", with(`{"status":200,"json_subset":{"status":"$any"}}`), with(`{"status":200,"json_subset":{"status":"$text"}}`), "unknown matcher"},
		{"member of expect", with(`{"status":200}`), with(`{"status":200,"json_super":{}}`), "json_super"},
		{"member of a request", with(`{"status":200}`), `"request":{"method":"GET","path":"/","body_gzip":""},"expect":{"status":404}`, "body_gzip"},
		{"member of a case", with(`{"status":200}`), with(`{"status":200}`) + `,"unless":1`, "unless"},
		{"two bodies", with(`{"status":200}`),
			`"request":{"method":"POST","path":"/","body":{},"body_raw":"x"},"expect":{"status":404}`, "more than one body"},
		{"token", with(`{"status":200}`) + `,"given":["token:T:user"]`, with(`{"status":200}`) + `,"given":["update.maybe"]`, "unknown token"},
		{"role", with(`{"status":200}`) + `,"given":["token:T:user"]`, with(`{"status":200}`) + `,"given":["token:T:root"]`, "unknown token"},
		{"observe", with(`{"status":200}`), with(`{"status":200}`) + `,"then":{"observe":"the moon"}`, "the moon"},
		{"then", with(`{"status":200}`) + `,"then":` + `{` + with(`{"status":200}`) + `}`,
			with(`{"status":200}`) + `,"then":{` + with(`{"status":201}`) + `}`, "step 1"},
		{"a list of then", with(`{"status":200}`) + `,"then":[{` + with(`{"status":200}`) + `}]`,
			with(`{"status":200}`) + `,"then":[{` + with(`{"status":200}`) + `},{` + with(`{"status":201}`) + `}]`, "step 2"},
		{"then without expect", with(`{"status":200}`) + `,"then":[]`, with(`{"status":200}`) + `,"then":{"request":` + progress + `}`, "needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, runText(t, tt.good))
			require.ErrorContains(t, runText(t, tt.bad), tt.says)
		})
	}
}

// runText runs a case of the update API; it is given a token unless it says otherwise.
func runText(t *testing.T, members string) error {
	raw := json.RawMessage(`{"name":"x",` + members + `}`)
	var c contractCase
	if json.Unmarshal(raw, &c) == nil && c.Given == nil {
		raw = json.RawMessage(`{"name":"x","given":["token:T:user"],` + members + `}`)
	}
	return runCase(t, contractSystems["wncms-update"], memory.New(), raw)
}

func TestContractMatchersOfArraysAndNumbers(t *testing.T) {
	tests := []struct {
		got, want string
		exact, ok bool
	}{
		{`[1,2]`, `"$array"`, false, true},
		{`[1,2]`, `"$array:2"`, false, true},
		{`[1,2]`, `"$array:3"`, false, false},
		{`[1,2]`, `"$array:x"`, false, false},
		{`[{"a":1,"b":2}]`, `[{"a":1}]`, false, true},
		{`[{"a":1,"b":2}]`, `[{"a":1}]`, true, false},
		{`[1,2]`, `[2,1]`, false, false},
		{`[1,2]`, `[1]`, false, false},
		{`null`, `"$any"`, false, true},
		{`null`, `null`, true, true},
		{`""`, `"$string"`, false, true},
		{`""`, `"$nonempty"`, false, false},
		{`-1`, `"$nonzero"`, false, true},
		{`0.0`, `"$nonzero"`, false, false},
		{`1.0`, `1`, true, true},
		{`true`, `true`, true, true},
		{`true`, `false`, true, false},
		{`9007199254740993`, `9007199254740992`, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.got+" and "+tt.want, func(t *testing.T) {
			got, err := parse([]byte(tt.got))
			require.NoError(t, err)
			want, err := parse([]byte(tt.want))
			require.NoError(t, err)
			if err := match("value", got, want, tt.exact); tt.ok {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

func TestContractUnderstandsEveryTokenOfTheVocabularyAndNoOther(t *testing.T) {
	for _, system := range contractSystems {
		require.Error(t, system.understands(map[string]string{"update.maybe": "?"}))
	}
	for _, given := range []string{
		"token:a:b:admin", "update.idle", "update.running", "update.stale", "update.disabled", "updater.ok:1.0.0",
		"updater.fails:no: it broke", "progress.auth=on", "progress.auth=off", "authenticator:none",
	} {
		_, err := buildUpdate(t, memory.New(), []string{given})
		require.NoError(t, err, given)
	}
	for _, given := range []string{"", "token:a", "token::admin", "updater.ok:", "progress.auth=", "update.idle:1"} {
		_, err := readUpdateState([]string{given})
		require.Error(t, err, given)
	}
	for _, given := range []string{"", "session:a:b", "session:a:b:all", "state:3", "state:128", "progress:100", "update-result:8"} {
		_, err := readFirmwareState([]string{given})
		require.Error(t, err, given)
	}
	for _, given := range []string{"", "token:a", "token:a:editor", "cloudName:", "lastSync:x", "sync.off"} {
		_, err := readSyncState([]string{given})
		require.Error(t, err, given)
	}
}

func TestContractFilesOfOneStemAreMerged(t *testing.T) {
	dir := t.TempDir()
	write := func(name, status string) string {
		return fmt.Sprintf(`{"name":%q,"request":{"method":"GET","path":"/api/v1/update"},"expect":{"status":%s}}`, name, status)
	}
	text := `{"system":"wncms-update","vocabulary":{"new":"?"},"cases":[` + write("update.inferred.wrong-method", "200") + `,` + write("new", "405") + `]}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "000-wncms-update.json"), []byte(text), 0o600))

	stems := map[string]*corpus{}
	readCorpora(t, "testdata/contract", stems)
	before := len(stems["000-wncms-update"].Cases)
	readCorpora(t, dir, stems)
	c := stems["000-wncms-update"]
	require.Len(t, c.Cases, before+1, "one case is new")
	require.Contains(t, c.Vocabulary, "new")
	require.Contains(t, c.Vocabulary, "update.idle")
	for _, raw := range c.Cases {
		if nameOf(t, raw) == "update.inferred.wrong-method" {
			require.Error(t, runCase(t, contractSystems[c.System], memory.New(), raw), "the case of the folder replaces ours")
		}
	}
}

package httpadapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
)

// rolloutVocabulary are the tokens that buildRollout understands.
var rolloutVocabulary = []string{
	"token:T:valid|expired", "env:E:qbase|no", "service:S:VERSIONS", "run_id:R", "deployer.busy", "deployer.fails", "snapshot:S:NAME",
}

// rolledAt is when the cases of rollouts happen.
var rolledAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rolloutState is what the tokens of a case ask for.
type rolloutState struct {
	denies    bool            // there is no authenticator
	tokens    map[string]bool // whether it has not expired
	envs      map[string]bool // whether they may be acted in
	services  map[string][]string
	snapshots map[string][]string
	next      string // run id
	check     error  // of the Deployer
}

func readRolloutState(given []string) (rolloutState, error) {
	s := rolloutState{tokens: map[string]bool{}, envs: map[string]bool{}, services: map[string][]string{}, snapshots: map[string][]string{}}
	for _, token := range given {
		name, value, _ := strings.Cut(token, ":")
		what, how, _ := strings.Cut(value, ":")
		switch {
		case token == "authenticator:none":
			s.denies = true
		case token == "deployer.busy":
			s.check = fmt.Errorf("the machine is full: %w", rollout.ErrBusy)
		case token == "deployer.fails":
			s.check = errors.New("the machine is on fire")
		case name == "token" && (how == "valid" || how == "expired"):
			s.tokens[what] = how == "valid"
		case name == "env" && (how == "qbase" || how == "no"):
			s.envs[what] = how == "qbase"
		case name == "service" && how != "":
			s.services[what] = strings.Split(how, ",")
		case name == "snapshot" && how != "":
			s.snapshots[what] = append(s.snapshots[what], how)
		case name == "run_id" && value != "":
			s.next = value
		default:
			return s, fmt.Errorf("unknown token %q", token)
		}
	}
	return s, nil
}

// Authenticate implements httpadapter.Authenticator.
func (s rolloutState) Authenticate(_ context.Context, c httpadapter.Credential, _ httpadapter.Role) (p httpadapter.Principal, err error) {
	fresh, known := s.tokens[c.Secret]
	switch {
	case !known:
		return p, httpadapter.ErrBadCredential
	case !fresh:
		return p, httpadapter.ErrExpired
	}
	p = httpadapter.Principal{ID: "ann", Role: httpadapter.Admin, Scopes: []string{}}
	for env, good := range s.envs {
		if good {
			p.Scopes = append(p.Scopes, env)
		}
	}
	return p, nil
}

// fill rolls the services of the case in every environment that may be acted in.
func (s rolloutState) fill(t *testing.T, p *port) {
	for env, good := range s.envs {
		if !good {
			continue
		}
		for service, versions := range s.services {
			id := rollout.ServiceID{Env: env, Name: service}
			for i, version := range versions {
				r := rollout.Request{Service: id, Version: version, Spec: imaged()}
				if i > 0 {
					half := 50
					r.Share = &half
				}
				p.roll(t, r)
			}
			for _, name := range s.snapshots[service] {
				p.ids = []string{name}
				p.roll(t, rollout.Request{Service: id, Spec: rollout.Spec{Environment: map[string]string{"SNAPSHOT": name}}})
				p.roll(t, rollout.Request{Service: id, Spec: rollout.Spec{Environment: map[string]string{}}})
			}
		}
	}
	if s.next != "" {
		p.ids = []string{s.next}
	}
}

// buildRollout serves a real Controller over the engine, in the state of a case.
func buildRollout(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readRolloutState(given)
	if err != nil {
		return fixture{}, err
	}
	p := newPort(t, db, nil)
	s.fill(t, p)
	p.fleet.check = func(rollout.Spec) ([]string, error) { return nil, s.check }
	c := httpadapter.Config{Rollout: p.Controller, Logger: quiet}
	if !s.denies {
		c.Auth = s
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := new(bytes.Buffer)
		if r.Body != nil {
			r.Body = io.NopCloser(io.TeeReader(r.Body, sent))
		}
		mux.ServeHTTP(w, r)
		p.comesTrue(t, sent.Bytes(), w.(*httptest.ResponseRecorder).Body.Bytes())
	})}, nil
}

// comesTrue waits for the end of what a reply says has begun, and compares what
// the service is then with what was asked for.
func (p *port) comesTrue(t *testing.T, sent, told []byte) {
	var reply struct {
		ErrCode int    `json:"errcode"`
		RunID   string `json:"run_id"`
	}
	if json.Unmarshal(told, &reply) != nil || reply.ErrCode != 0 {
		return
	}
	var body struct {
		Version string `json:"version_name"`
		Share   *int   `json:"flow_ratio"`
		Image   *struct {
			Repository string `json:"repository_name"`
		} `json:"image_info"`
		UploadType string `json:"upload_type"`
		Port       *int   `json:"container_port"`
	}
	require.NoError(t, json.Unmarshal(sent, &body))
	run, svc, err := p.finished(t.Context(), reply.RunID)
	require.NoError(t, err)
	i := slices.IndexFunc(svc.Revisions, func(r rollout.Revision) bool { return r.ID == run.Revision })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, run.ID, run.Revision.Run, "it has a content of its own")
	assert.Equal(t, run.Spec, svc.Revisions[i].Spec)
	if body.Version != "latest" {
		assert.Equal(t, body.Version, run.Revision.Version)
	}
	sum := 0
	for _, w := range svc.Split.Weights {
		sum += w.Percent
		if w.Run == run.ID && body.Share != nil {
			assert.Equal(t, *body.Share, w.Percent)
		}
	}
	assert.Equal(t, 100, sum)
	if body.UploadType == "image" {
		assert.Equal(t, body.Image.Repository, run.Spec.Image.Repository)
	}
	if body.Port != nil {
		assert.Equal(t, *body.Port, *run.Spec.Port)
	}
}

package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestOfACommandTheProgramIsShown(t *testing.T) {
	for _, command := range [][]string{nil, {"bin/web"}, {"bin/web", "--token", "secret", ""}} {
		s := rollout.Spec{Command: command, Archive: &rollout.Archive{Command: command}}
		masked := s.Masked()
		assert.NotContains(t, masked.Command, "secret")
		assert.Equal(t, masked.Command, masked.Archive.Command)
		assert.Len(t, masked.Command, len(command))
		if len(command) > 0 {
			assert.Equal(t, "bin/web", masked.Command[0])
			assert.Equal(t, command, s.Command, "the content itself keeps its arguments")
		}
	}
}

func TestAddressesShowNoSecret(t *testing.T) {
	for address, want := range map[string]string{
		"https://example.com/a.tar":                        "https://example.com/a.tar",
		"https://example.com:8443/a@v1.tar":                "https://example.com:8443/a@v1.tar",
		"https://ann:secret@example.com/a.tar":             "https://***@example.com/a.tar",
		"https://secret@example.com":                       "https://***@example.com",
		"https://ann:se/cret@example.com/a":                "https://***@example.com/a",
		"https://ann:se@cret@example.com/a":                "https://***@example.com/a",
		"https://example.com/a?token=secret&secret#secret": "https://example.com/a?token=***&***",
		"git@example.com:team/shop.git":                    "***@example.com:team/shop.git",
		"example.com/shop@sha256:0123":                     "example.com/shop@sha256:0123",
		"shop:1.2":                                         "shop:1.2",
		"://secret@":                                       "://***@",
		"":                                                 "",
	} {
		s := rollout.Spec{
			Archive: &rollout.Archive{URL: address}, Image: &rollout.Image{URL: address, Repository: address},
			Source: &rollout.Source{URL: address}, Extra: map[string]string{"registry": address},
		}.Masked()
		assert.Equal(t, want, s.Archive.URL)
		assert.Equal(t, want, s.Image.Repository)
		assert.Equal(t, want, s.Extra["registry"])
		assert.Equal(t, want, s.Image.URL)
		assert.Equal(t, want, s.Source.URL)
	}
}

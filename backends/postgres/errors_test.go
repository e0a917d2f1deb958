package postgres

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseError_SaysNoPassword(t *testing.T) {
	for _, url := range []string{
		"postgres://me:secret@localhost/x", "postgres://me:secret:more@localhost", "postgres://me:a/secret@b@localhost", "postgres://me@localhost/x?password=secret&a=b",
		"host=localhost password=secret", "host=localhost password = 'secret", "postgres://me@localhost/x?sslpassword=secret",
	} {
		err := parseError(url, errors.New("cannot parse `"+url+"`: port (secret)"))
		assert.EqualError(t, err, "headpond/postgres: parse the url: it can't be parsed", url)
		err = parseError(url, errors.New("cannot parse `"+url+"`: invalid port"))
		assert.EqualError(t, err, "headpond/postgres: parse the url: invalid port", url)
	}
}

func TestPosition(t *testing.T) {
	for text, want := range map[string]uint64{"": 0, "0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/FFFFFFFF": everything} {
		got, err := position(text)
		assert.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
	_, err := position("x")
	assert.ErrorContains(t, err, `"x" is no position`)
}

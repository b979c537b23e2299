package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects nest.
const maxDepth = 16

// Decode is json.Unmarshal for text that every parser reads alike. Unknown
// members are ignored.
func Decode(text []byte, v any) error {
	if err := scan(text); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// scan reports whether text begins with a JSON value in UTF-8 whose objects have
// no name twice. To encoding/json, "Serial" is "serial", and of two the last one
// counts: names that differ by case alone are one here, and since those with
// letters beyond ASCII may be too, there are none.
func scan(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return scanValue(d, 0)
}

func scanValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("more than %d levels deep", maxDepth)
	}
	names := map[string]bool{}
	for d.More() {
		if open == '{' {
			if err := scanName(d, names); err != nil {
				return err
			}
		}
		if err := scanValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func scanName(d *json.Decoder, names map[string]bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	for _, r := range name {
		if r >= utf8.RuneSelf {
			return fmt.Errorf("name %.64q is not ASCII", name)
		}
	}
	name = strings.ToLower(name)
	if names[name] {
		return fmt.Errorf("name %.64q is repeated", name)
	}
	names[name] = true
	return nil
}

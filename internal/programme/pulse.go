package programme

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// ErrPulse says that bytes are not a JSON object.
var ErrPulse = errors.New("not a JSON object")

// Diff returns the JSON merge patch (RFC 7396) that makes after out of before;
// "{}" if they are the same. Empty before stands for no state at all: the patch is
// then the whole of after. Keys are in order, so that the same states always give
// the same bytes.
//
// A merge patch can't express a null: a member of after that is null counts as
// absent. Then Apply(before, Diff(before, after)) equals after.
//
// Errors: ErrPulse, if either is not a JSON object.
func Diff(before, after []byte) ([]byte, error) {
	from, err := object(before)
	if err != nil {
		return nil, fmt.Errorf("the state before: %w", err)
	}
	to, err := object(after)
	if err != nil {
		return nil, fmt.Errorf("the state after: %w", err)
	}
	return encode(diff(from, to))
}

// Apply returns the state that a JSON merge patch (RFC 7396) makes out of another.
// Empty state stands for no state at all.
//
// Errors: ErrPulse, if either is not a JSON object.
func Apply(state, patch []byte) ([]byte, error) {
	target, err := object(state)
	if err != nil {
		return nil, fmt.Errorf("the state: %w", err)
	}
	change, err := object(patch)
	if err != nil {
		return nil, fmt.Errorf("the patch: %w", err)
	}
	return encode(merge(target, change))
}

func diff(from, to map[string]any) map[string]any {
	patch := make(map[string]any)
	for key := range from {
		if to[key] == nil {
			patch[key] = nil
		}
	}
	for key, now := range to {
		if now == nil {
			continue
		}
		was, had := from[key]
		nowObject, isObject := now.(map[string]any)
		wasObject, wasOne := was.(map[string]any)
		switch {
		case isObject && wasOne:
			if inner := diff(wasObject, nowObject); len(inner) > 0 {
				patch[key] = inner
			}
		case isObject:
			patch[key] = diff(nil, nowObject)
		case !had || !reflect.DeepEqual(was, now):
			patch[key] = now
		}
	}
	return patch
}

func merge(target, patch map[string]any) map[string]any {
	if target == nil {
		target = make(map[string]any)
	}
	for key, change := range patch {
		inner, isObject := change.(map[string]any)
		switch {
		case change == nil:
			delete(target, key)
		case isObject:
			old, _ := target[key].(map[string]any)
			target[key] = merge(old, inner)
		default:
			target[key] = change
		}
	}
	return target
}

// object decodes one JSON object. Numbers keep their text, so none loses digits.
func object(data []byte) (map[string]any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPulse, err)
	}
	if v == nil {
		return nil, fmt.Errorf("%w: null", ErrPulse)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one", ErrPulse)
	}
	return v, nil
}

func encode(v map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // six bytes for a "<" are too many in a pulse
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

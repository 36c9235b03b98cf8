package programme_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// The examples of RFC 7396, appendix A, that are about objects.
func TestApplyExamples(t *testing.T) {
	for _, c := range []struct{ state, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{``, `{"a":"<&>"}`, `{"a":"<&>"}`},
		{`{"n":12345678901234567890.10}`, `{}`, `{"n":12345678901234567890.10}`},
	} {
		got, err := programme.Apply([]byte(c.state), []byte(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s: %s (%v), want %s", c.state, c.patch, got, err, c.want)
		}
	}
	for _, bad := range []string{`null`, `[]`, `1`, `{`, `{} {}`, `nonsense`} {
		if _, err := programme.Apply([]byte(bad), []byte(`{}`)); !errors.Is(err, programme.ErrPulse) {
			t.Errorf("state %s: %v, want ErrPulse", bad, err)
		}
		if _, err := programme.Diff([]byte(`{}`), []byte(bad)); !errors.Is(err, programme.ErrPulse) {
			t.Errorf("state %s: %v, want ErrPulse", bad, err)
		}
	}
}

// someObject draws a JSON object; nulls only where they mean something.
func someObject(depth int) *rapid.Generator[map[string]any] {
	leaf := rapid.OneOf(
		rapid.Just[any]("x"), rapid.Just[any](1.0), rapid.Just[any](true), rapid.Just[any]([]any{}),
		rapid.Just[any]([]any{"x", nil}), rapid.Just[any](map[string]any{}),
	)
	value := leaf
	if depth > 0 {
		value = rapid.OneOf(leaf, rapid.Map(someObject(depth-1), func(m map[string]any) any { return m }))
	}
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d<"}), value, 0, 4)
}

func TestDiffThenApplyIsTheStateAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, err1 := programme.Apply(nil, encode(t, someObject(3).Draw(t, "before")))
		after, err2 := programme.Apply(nil, encode(t, someObject(3).Draw(t, "after")))
		patch, err3 := programme.Diff(before, after)
		got, err4 := programme.Apply(before, patch)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, after) {
			t.Fatalf("%s with %s is %s, want %s", before, patch, got, after)
		}
		if bytes.Equal(before, after) != (string(patch) == "{}") {
			t.Fatalf("from %s to %s the patch is %s", before, after, patch)
		}
		whole, err := programme.Diff(nil, after)
		if err != nil || !bytes.Equal(whole, after) {
			t.Fatalf("against nothing the patch is %s (%v), want the whole %s", whole, err, after)
		}
	})
}

func encode(t *rapid.T, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"a":{"b":null}}`), []byte(`{"a":{"c":[null]}}`))
	f.Add([]byte(`{"a":1}`), []byte(`{"a":null}`))
	f.Fuzz(func(t *testing.T, before, patch []byte) {
		after, err := programme.Apply(before, patch)
		if err != nil {
			return
		}
		again, err := programme.Diff(before, after)
		if err != nil {
			t.Fatalf("%s was made by Apply: %v", after, err)
		}
		got, err := programme.Apply(before, again)
		if err != nil {
			t.Fatal(err)
		}
		// What Apply left null stands for absent when Diff reads it.
		want, err := programme.Diff(nil, after)
		if err != nil || !bytes.Equal(mustDiff(t, got), want) {
			t.Fatalf("%s to %s by %s gives %s (%v)", before, after, again, got, err)
		}
	})
}

func mustDiff(t *testing.T, state []byte) []byte {
	t.Helper()
	d, err := programme.Diff(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An hour of a lively pulse stays within the budget: 150 bytes a block on average,
// the checkpoints included.
func TestPulseBudget(t *testing.T) {
	starts := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	signer := newSigner(t)
	w, _ := write(t, programme.WriterOptions{Signer: signer}, 0, 10, false)
	state := space.Pulse{Phase: space.Live, Title: "Town hall", StartsAt: &starts, Seats: map[space.SeatID]space.PulseSeat{
		"a1": {Name: "Ada", Role: space.Host}, "b2": {Name: "Ben", Role: space.Speaker}, "c3": {Name: "Cleo", Role: space.Caller},
	}}
	speakers := [][]space.SeatID{{"a1"}, {}, {"b2"}, {"a1", "b2"}, {"c3"}}
	var before []byte
	total := 0
	const blocks = 7200
	for i := range blocks {
		if i%2 == 0 {
			state.Tally = space.Tally{Now: 1000000 + i*7919%100000, Peak: 1300000 + i, Total: 3000000 + 10*i}
		}
		state.Speaking = speakers[i/3%len(speakers)]
		if i%programme.CheckpointEvery == 0 {
			state.Checkpoint = w.Checkpoint()
		}
		after, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		patch, err := programme.Diff(before, after)
		if err != nil {
			t.Fatal(err)
		}
		total, before = total+len(patch), after
	}
	if average := total / blocks; average > 150 {
		t.Errorf("%d bytes a block on average, want at most 150", average)
	}
}

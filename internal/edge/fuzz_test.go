package edge

import (
	"bytes"
	"encoding/json"
	"testing"

	"hustings/internal/programme"
	"hustings/internal/space"
)

func FuzzHear(f *testing.F) {
	good, err := json.Marshal(tell(live(town, "Town hall")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("hustings.space.town-hall", good)
	f.Add("hustings.space.x", []byte(`{"id":"x","phase":"ended"}`))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		var d directory
		sp, err := d.hear(subject, data)
		if err != nil {
			if len(d.spaces) > 0 {
				t.Fatalf("%q became %+v", data, d.spaces)
			}
			return
		}
		if got, err := d.get(sp.ID); err != nil || !got.ID.Valid() || got.Phase == space.Ended && got.EndedAt == nil {
			t.Fatalf("%q became %+v, %v", data, got, err)
		}
	})
}

func FuzzReadBlocks(f *testing.F) {
	var framed []byte
	w := programme.NewWriter(programme.WriterOptions{Space: town, Publish: func(data []byte) error {
		framed = programme.AppendFramed(framed, data)
		return nil
	}})
	for range 3 {
		if _, err := w.Append(w.End(), sound(w.Seq()), nil, false); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(framed, uint64(0), uint64(3))
	f.Add(framed[:len(framed)-9], uint64(0), uint64(3))
	f.Add(bytes.Clone(framed[9:]), uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, from, to uint64) {
		blocks, err := readBlocks(data, town, from, to)
		if err != nil && len(blocks) > 0 {
			t.Fatalf("%d blocks with %v", len(blocks), err)
		}
		for i, b := range blocks {
			if b.Space != town || b.Seq < from || b.Seq >= to || i > 0 && b.Seq <= blocks[i-1].Seq {
				t.Fatalf("block %d of %s among %d to %d", b.Seq, b.Space, from, to)
			}
		}
	})
}

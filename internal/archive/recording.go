package archive

import (
	"encoding/json"
	"fmt"

	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Recording is what is known of a finished recording: what /recordings/{id}.json
// serves. Times are seconds from the beginning of the recording.
type Recording struct {
	ID         space.ID    `json:"id"`
	Length     float64     `json:"length"`
	Stereo     bool        `json:"stereo,omitempty"`
	Blocks     uint64      `json:"blocks"`               // numbers given to blocks, those lost included
	Checkpoint string      `json:"checkpoint,omitempty"` // newest signed note of the log
	Tally      space.Tally `json:"tally"`                // the last one
	Chapters   []Chapter   `json:"chapters"`
	Epochs     []Epoch     `json:"epochs"`
	Holes      []Hole      `json:"holes,omitempty"`
	Timeline   []Moment    `json:"timeline"`
}

// Chapter is a part of the recording with a title.
type Chapter struct {
	Title string  `json:"title"`
	Start float64 `json:"start"`
}

// Epoch is a run of the log by one stage without a restart.
type Epoch struct {
	Epoch uint32  `json:"epoch"`
	Seq   uint64  `json:"seq"` // of its first block
	Start float64 `json:"start"`
}

// Hole is a part of the recording that was filled with silence.
type Hole struct {
	Start  float64 `json:"start"`
	Length float64 `json:"length"`
	Blocks uint64  `json:"blocks,omitempty"` // that were broadcast and did not reach the archive
	Why    string  `json:"why"`
}

// Moment is a change of the pulse: a JSON merge patch (RFC 7396) without the tally
// and the checkpoint, which change all the time. If it is whole, it stands in
// place of all before it.
type Moment struct {
	Start float64         `json:"start"`
	Whole bool            `json:"whole,omitempty"`
	Pulse json.RawMessage `json:"pulse"`
}

// story gathers the Recording from blocks, one after the other.
type story struct {
	rec   Recording
	end   int64 // of the last block
	next  uint64
	phase space.Phase
}

func seconds(samples int64) float64 { return float64(samples) / programme.SampleRate }

// add takes the next block into account. A pulse that can't be read tells
// nothing: the sound is what counts.
func (s *story) add(b *programme.Block) {
	fresh := len(s.rec.Epochs) == 0 || s.rec.Epochs[len(s.rec.Epochs)-1].Epoch != b.Epoch
	s.addHole(b, fresh)
	if fresh {
		s.rec.Epochs = append(s.rec.Epochs, Epoch{Epoch: b.Epoch, Seq: b.Seq, Start: seconds(b.Start)})
	}
	s.rec.Stereo = b.Stereo
	s.end, s.next = b.End(), b.Seq+1
	var pulse map[string]json.RawMessage
	if json.Unmarshal(b.Pulse, &pulse) != nil {
		return
	}
	s.addPulse(seconds(b.Start), pulse, fresh)
}

func (s *story) addHole(b *programme.Block, fresh bool) {
	hole := Hole{Start: seconds(s.end), Length: seconds(b.Start - s.end), Blocks: b.Seq - s.next}
	switch {
	case hole.Blocks > 0:
		hole.Why = fmt.Sprintf("blocks %d to %d did not reach the archive", s.next, b.Seq-1)
	case hole.Length == 0:
		return
	case fresh:
		hole.Why = "the stage was away and came back"
	default:
		hole.Why = "the stage left a gap"
	}
	s.rec.Holes = append(s.rec.Holes, hole)
}

func (s *story) addPulse(at float64, pulse map[string]json.RawMessage, fresh bool) {
	if tally, ok := pulse["tally"]; ok {
		_ = json.Unmarshal(tally, &s.rec.Tally) // a patch: it changes what it names
		delete(pulse, "tally")
	}
	delete(pulse, "checkpoint")
	raw, ok := pulse["phase"]
	whole := fresh && ok // the first block of an epoch may be one that was lost
	if ok {
		var phase space.Phase
		if json.Unmarshal(raw, &phase) == nil && phase != s.phase {
			s.phase = phase
			s.addChapter(at)
		}
	}
	if len(pulse) == 0 && !whole {
		return
	}
	patch, err := json.Marshal(pulse)
	if err != nil {
		return // it was JSON a moment ago
	}
	s.rec.Timeline = append(s.rec.Timeline, Moment{Start: at, Whole: whole, Pulse: patch})
}

func (s *story) addChapter(at float64) {
	switch s.phase {
	case space.Open:
		s.rec.Chapters = append(s.rec.Chapters, Chapter{Title: "Doors open", Start: at})
	case space.Live:
		s.rec.Chapters = append(s.rec.Chapters, Chapter{Title: "Live", Start: at})
	}
}

// recording returns what was gathered as that of a finished recording.
func (s *story) recording(id space.ID, checkpoint string) Recording {
	rec := s.rec
	rec.Chapters = append([]Chapter{}, rec.Chapters...) // an empty list, never null, in the JSON
	rec.Epochs = append([]Epoch{}, rec.Epochs...)
	rec.Timeline = append([]Moment{}, rec.Timeline...)
	rec.ID, rec.Checkpoint, rec.Blocks = id, checkpoint, s.next
	rec.Length = seconds(max(0, s.end-opus.PreSkip))
	return rec
}

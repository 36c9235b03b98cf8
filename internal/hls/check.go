package hls

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// exact is how far durations that must be equal may be apart for being rounded.
const exact = 100 * time.Microsecond

// finish ends the reading: a segment in the making becomes the last one, and the
// whole is checked.
func (r *reader) finish() error {
	if r.timed {
		return errors.New("the last segment has no URI")
	}
	if r.begun {
		if len(r.next.Parts) == 0 {
			return errors.New("tags of a segment that is not there")
		}
		r.next.Map = r.section
		for _, p := range r.next.Parts {
			r.next.Duration += p.Duration
		}
		r.list.Segments = append(r.list.Segments, r.next)
	}
	for _, tag := range []string{"#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-SERVER-CONTROL", "#EXT-X-PART-INF"} {
		if !r.seen[tag] {
			return fmt.Errorf("no %s", tag)
		}
	}
	return r.list.check()
}

// check holds a playlist to the rules that go beyond a line.
func (p Playlist) check() error {
	target := time.Duration(p.Target) * time.Second
	switch {
	case p.PartTarget <= 0 || p.PartTarget > target:
		return errors.New("the part target is none, or beyond the target duration")
	case p.PartHoldBack < 2*p.PartTarget:
		return errors.New("PART-HOLD-BACK is below two part targets")
	case p.HoldBack != 0 && p.HoldBack < 3*target:
		return errors.New("HOLD-BACK is below three target durations")
	case p.SkipUntil != 0 && p.SkipUntil < 6*target:
		return errors.New("CAN-SKIP-UNTIL is below six target durations")
	case p.Skipped > 0 && p.SkipUntil == 0:
		return errors.New("segments are skipped where none may be")
	case p.Ended && p.Hint != "":
		return errors.New("a part is announced after the end")
	}
	for i, s := range p.Segments {
		if err := p.checkSegment(s, i == len(p.Segments)-1); err != nil {
			return fmt.Errorf("segment %d: %w", p.Sequence+uint64(p.Skipped+i), err)
		}
	}
	if p.Skipped > 0 && p.Duration() < p.SkipUntil {
		return errors.New("segments are skipped that are not beyond the skip boundary")
	}
	return nil
}

func (p Playlist) checkSegment(s Segment, last bool) error {
	target := time.Duration(p.Target) * time.Second
	switch {
	case s.URI != "" && s.Duration.Round(time.Second) > target:
		return fmt.Errorf("%v is longer than the target duration", s.Duration)
	case s.Map == "":
		return errors.New("no initialisation section")
	case s.Gap && slices.ContainsFunc(s.Parts, func(p Part) bool { return !p.Gap }):
		return nil // its parts could be had while it was in the making
	}
	var all time.Duration
	for i, part := range s.Parts {
		all += part.Duration
		inner := i < len(s.Parts)-1
		switch {
		case part.Duration <= 0 || part.Duration > p.PartTarget:
			return fmt.Errorf("a part of %v with a part target of %v", part.Duration, p.PartTarget)
		case inner && !part.Gap && part.Duration*100 < p.PartTarget*85:
			return fmt.Errorf("a part of %v is below 85%% of the part target, and not the last one", part.Duration)
		}
	}
	if len(s.Parts) > 0 && (all-s.Duration).Abs() > exact*time.Duration(len(s.Parts)) {
		return fmt.Errorf("parts of %v in a segment of %v", all, s.Duration)
	}
	if s.URI == "" && !last {
		return errors.New("only the last one may be in the making")
	}
	return nil
}

// ErrVersion is wrapped by the errors for versions of a playlist that do not follow
// from one another.
var ErrVersion = errors.New("the playlist does not follow from the one before")

// Merge returns the whole of a delta update, given a version from before it.
//
// Errors: ErrVersion, if before lacks what was skipped.
func Merge(before, delta Playlist) (Playlist, error) {
	if delta.Skipped == 0 {
		return delta, nil
	}
	if before.Skipped > 0 || delta.Sequence < before.Sequence {
		return Playlist{}, fmt.Errorf("%w: the update begins before it", ErrVersion)
	}
	from := delta.Sequence - before.Sequence
	if from > uint64(len(before.Segments)) || uint64(len(before.Segments))-from < uint64(delta.Skipped) {
		return Playlist{}, fmt.Errorf("%w: a skipped segment is not in it", ErrVersion)
	}
	skipped := slices.Clone(before.Segments[from:][:delta.Skipped])
	for i := range skipped {
		if skipped[i].URI == "" {
			return Playlist{}, fmt.Errorf("%w: a segment was skipped that was in the making", ErrVersion)
		}
		skipped[i].Parts = nil // too old by now, whatever they were
	}
	whole := delta
	whole.Segments, whole.Skipped = append(skipped, delta.Segments...), 0
	return whole, nil
}

// Succeeds reports by an error if a whole playlist can't be a later version of
// another: segments may be added at the end and removed at the beginning, and what
// was once said of a segment stays so.
//
// Errors: ErrVersion.
func Succeeds(before, after Playlist) error {
	if err := fixed(before, after); err != nil {
		return fmt.Errorf("%w: %w", ErrVersion, err)
	}
	discontinuities := before.Discontinuities
	for i, old := range before.Segments {
		number := before.Sequence + uint64(i)
		if number < after.Sequence {
			if old.Discontinuity {
				discontinuities++
			}
			continue
		}
		k := int(number - after.Sequence)
		if k >= len(after.Segments) {
			return fmt.Errorf("%w: segment %d is gone", ErrVersion, number)
		}
		if err := grown(old, after.Segments[k]); err != nil {
			return fmt.Errorf("%w: segment %d: %w", ErrVersion, number, err)
		}
	}
	if after.Sequence < before.Sequence+uint64(len(before.Segments)) && after.Discontinuities != discontinuities {
		return fmt.Errorf("%w: %d discontinuities before it, want %d", ErrVersion, after.Discontinuities, discontinuities)
	}
	return nil
}

// fixed checks what no version may change.
func fixed(before, after Playlist) error {
	switch {
	case before.Target != after.Target || before.PartTarget != after.PartTarget:
		return errors.New("another target")
	case after.Sequence < before.Sequence || after.Discontinuities < before.Discontinuities:
		return errors.New("its sequence goes back")
	case before.Ended && !after.Ended:
		return errors.New("it had ended")
	}
	return nil
}

// grown checks that a segment is as it was, or more of it.
func grown(old, s Segment) error {
	switch {
	case old.URI != "" && (old.URI != s.URI || old.Duration != s.Duration || old.Gap != s.Gap):
		return errors.New("it was changed")
	case old.Map != s.Map || old.Discontinuity != s.Discontinuity || !old.Time.Equal(s.Time):
		return errors.New("its tags were changed")
	case s.URI != "" && len(s.Parts) == 0:
		return nil // its parts are too old
	case len(s.Parts) < len(old.Parts) || !slices.Equal(old.Parts, s.Parts[:len(old.Parts)]):
		return errors.New("its parts were changed")
	}
	return nil
}

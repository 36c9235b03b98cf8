package stage

import (
	"testing"

	"hustings/internal/programme"
	"hustings/internal/space"
)

func TestTwoSpeakersHearEachOtherAndTheProgrammeHoldsBoth(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Put(liveSpace("debate")); err != nil {
		t.Fatal(err)
	}
	ann, bob := invite("debate", "ann", space.Host), invite("debate", "bob", space.Speaker)
	const low, high = 440, 1000
	annHears := r.listen(t, ann, callerOptions{})
	bobHears := r.listen(t, bob, callerOptions{})
	r.speak(t, ann, callerOptions{hertz: low})
	r.speak(t, bob, callerOptions{hertz: high})
	annHears.hears(t, high, low)
	bobHears.hears(t, low, high)

	from := len(r.log.all())
	blocks := r.log.wait(t, from+3)[from+1:]
	for rung := range programme.Rungs {
		pcm := decodeRung(t, blocks, programme.Rung(rung))
		if a, b := power(pcm, low), power(pcm, high); a < 0.02 || b < 0.02 {
			t.Errorf("rung %d has %.3f of the one tone and %.3f of the other", rung, a, b)
		}
	}
	end := liveSpace("debate")
	end.Phase = space.Ended
	if err := r.Put(end); err != nil {
		t.Fatal(err)
	}
	last := r.log.all()
	if b := last[len(last)-1]; !b.Final {
		t.Error("the last block after the end is not final")
	}
}

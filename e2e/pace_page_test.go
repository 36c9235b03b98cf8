package e2e

import (
	"fmt"
	"testing"
	"time"

	"hustings/internal/programme"
)

func TestAPageFollowsTheDepthThatItIsTold(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, id := liveSpace(t, "Filling up")
	r := newRelay(t, s, id, 3*time.Second, 2*time.Second)
	f := newFront(t, s, programme.Edge{URL: r.URL, Weight: 1})
	ctx := listen(t, f.URL+"/s/"+id)
	begun := eval[float64](t, ctx, `now()`)
	if depth := eval[float64](t, ctx, `depth(3)`); depth < 2.5 || depth > 4.2 {
		t.Errorf("told to be 3 s deep, the page begins at %.2f s", depth)
	}

	r.setPace(4200*time.Millisecond, 2*time.Second)
	until(t, ctx, `track.at(-1).rate === 0.97`)
	until(t, ctx, `depth(3) > 3.75 && track.at(-1).rate === 1`)
	r.setPace(4200*time.Millisecond, 3500*time.Millisecond)
	until(t, ctx, fmt.Sprintf(`track.at(-1).at > %g + 8`, eval[float64](t, ctx, `now()`)))

	r.setPace(1100*time.Millisecond, 500*time.Millisecond)
	until(t, ctx, `track.at(-1).rate === 1.03`)
	until(t, ctx, fmt.Sprintf(`track.at(-1).at > %g + 8`, eval[float64](t, ctx, `now()`)))

	moved := fmt.Sprintf(`track.filter((t) => t.at >= %g)`, begun)
	if stood := eval[float64](t, ctx, fmt.Sprintf(`stood(%g)`, begun)); stood > 0.6 {
		t.Errorf("the sound stood still for %.2f s", stood)
	}
	if back := eval[bool](t, ctx, moved+`.some((t, i, all) => i && t.position < all[i - 1].position)`); back {
		t.Error("the sound went back")
	}
	if skipped := eval[float64](t, ctx, `Math.max(...`+moved+`.map((t, i, all) => i ? t.position - all[i - 1].position - (t.at - all[i - 1].at) : 0))`); skipped > 0.5 {
		t.Errorf("the sound jumped by %.2f s", skipped)
	}
	rates := eval[[]float64](t, ctx, `[...new Set(`+moved+`.map((t) => t.rate))].sort()`)
	for _, rate := range rates {
		if rate < 0.97 || rate > 1.03 {
			t.Errorf("the sound is played at %g", rate)
		}
	}
}

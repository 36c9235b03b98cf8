package reach

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"hustings/internal/programme"
)

const home = "https://talk.example"

func edge(n int) string { return fmt.Sprintf("https://edge%d.example", n) }

// signed is a list of edges, each with its weight, signed by a new key.
func signed(t *testing.T, at time.Time, weights map[string]int) (note, key string) {
	t.Helper()
	signer, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	list := programme.Edges{At: at}
	for url, weight := range weights {
		list.List = append(list.List, programme.Edge{URL: url, Weight: weight})
	}
	if note, err = signer.SignEdges(list); err != nil {
		t.Fatal(err)
	}
	return note, signer.Verifier()
}

func edgesOf(t *testing.T, weights map[string]int) Edges {
	t.Helper()
	note, key := signed(t, time.Now(), weights)
	edges, err := NewEdges(home).Open(note, []string{key})
	if err != nil {
		t.Fatal(err)
	}
	return edges
}

func TestAPageWithoutEdgesListensAtHome(t *testing.T) {
	edges := NewEdges(home)
	var failures Failures
	if at, fresh := edges.Pick(&failures, 0, 0.7); at != home || !fresh {
		t.Errorf("picked %s, fresh %v", at, fresh)
	}
	failures.Add(home, 0)
	if at, fresh := edges.Pick(&failures, time.Second, 0.7); at != home || fresh {
		t.Errorf("after it failed, picked %s, fresh %v", at, fresh)
	}
	if edges.Others(home, &failures, 0) || len(edges.List()) != 1 {
		t.Error("there are others")
	}
}

func TestOnlyASignedListIsBelieved(t *testing.T) {
	now := time.Now()
	note, key := signed(t, now, map[string]int{edge(1): 5})
	_, other := signed(t, now, map[string]int{edge(1): 5})
	for name, keys := range map[string][]string{"another key": {other}, "no key": nil} {
		if edges, err := NewEdges(home).Open(note, keys); err == nil || edges.List()[0] != home {
			t.Errorf("%s: %v, %v", name, edges.List(), err)
		}
	}
	edges, err := NewEdges(home).Open(note, []string{other, key})
	if err != nil || len(edges.List()) != 1 || edges.List()[0] != edge(1) {
		t.Fatalf("got %v, %v", edges.List(), err)
	}
	if gone, err := edges.Open("", nil); err != nil || gone.List()[0] != home {
		t.Errorf("without a list: %v, %v", gone.List(), err)
	}
}

// A list may come by several ways, and the older one last.
func TestAnOlderListIsPassedOver(t *testing.T) {
	signer, _, err := programme.NewSigner("talk.example")
	if err != nil {
		t.Fatal(err)
	}
	edges := NewEdges(home)
	for i, age := range []time.Duration{time.Minute, 0, time.Minute} {
		note, err := signer.SignEdges(programme.Edges{At: time.Now().Add(-age), List: []programme.Edge{{URL: edge(i), Weight: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		if edges, err = edges.Open(note, []string{signer.Verifier()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := edges.List(); len(got) != 1 || got[0] != edge(1) {
		t.Errorf("the newest list is %v", got)
	}
}

func TestEdgesArePickedByWeight(t *testing.T) {
	edges := edgesOf(t, map[string]int{edge(1): 30, edge(2): 10, edge(3): 0})
	var failures Failures
	picks := map[string]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		at, fresh := edges.Pick(&failures, 0, random.Float64())
		if !fresh {
			t.Fatal("an edge that has not failed is called stale")
		}
		picks[at]++
	}
	if picks[edge(3)] != 0 || picks[home] != 0 || picks[edge(1)] < 2800 || picks[edge(1)] > 3200 {
		t.Errorf("picks: %v", picks)
	}
}

func TestAnEdgeThatFailedIsPassedOverForAWhile(t *testing.T) {
	edges := edgesOf(t, map[string]int{edge(1): 1, edge(2): 1})
	var failures Failures
	failures.Add(edge(1), time.Second)
	if at, fresh := edges.Pick(&failures, 2*time.Second, 0); at != edge(2) || !fresh {
		t.Errorf("picked %s, fresh %v", at, fresh)
	}
	if !edges.Others(edge(1), &failures, 2*time.Second) {
		t.Error("there is nowhere to move to")
	}
	failures.Add(edge(2), 3*time.Second)
	if at, fresh := edges.Pick(&failures, 4*time.Second, 0); at != home || !fresh {
		t.Errorf("with both edges down, picked %s, fresh %v", at, fresh)
	}
	failures.Add(home, 4*time.Second)
	if at, fresh := edges.Pick(&failures, 5*time.Second, 0); at != edge(1) || fresh {
		t.Errorf("with all down, picked %s (fresh %v), want the one whose failure is longest ago", at, fresh)
	}
	if edges.Others(edge(1), &failures, 5*time.Second) {
		t.Error("all are down, and there is somewhere to move to")
	}
	if at, fresh := edges.Pick(&failures, 31*time.Second, 0); at != edge(1) || !fresh {
		t.Errorf("30 s later, picked %s, fresh %v", at, fresh)
	}
	if failures.Forget(edge(2)); failures.Recent(edge(2), 5*time.Second) {
		t.Error("what was forgotten is remembered")
	}
}

func TestFailuresAreFewBytes(t *testing.T) {
	if size := unsafe.Sizeof(Failures{}); size > 32 {
		t.Errorf("%d bytes", size)
	}
	var failures Failures
	for n := range 6 {
		failures.Add(edge(n), time.Duration(n)*time.Second)
	}
	for n := range 6 {
		if got, want := failures.Recent(edge(n), 6*time.Second), n >= 2; got != want {
			t.Errorf("edge %d is remembered: %v", n, got)
		}
	}
}

// Whatever has failed, what is picked is fresh exactly if it has not failed, and
// nothing fresh with a weight is passed over for something stale.
func TestPickIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "edges")
		edges := Edges{origin: home}
		for i := range n {
			edges.list = append(edges.list, programme.Edge{URL: edge(i), Weight: rapid.IntRange(0, 3).Draw(t, "weight")})
		}
		var failures Failures
		for range rapid.IntRange(0, 4).Draw(t, "failures") {
			failures.Add(rapid.SampledFrom(append(edges.List(), home)).Draw(t, "failed"), time.Duration(rapid.IntRange(0, 50).Draw(t, "at"))*time.Second)
		}
		now := 50 * time.Second
		at, fresh := edges.Pick(&failures, now, rapid.Float64Range(0, 0.999999).Draw(t, "draw"))
		if fresh == failures.Recent(at, now) {
			t.Fatalf("%s is called fresh: %v", at, fresh)
		}
		if !fresh && edges.Others(at, &failures, now) {
			t.Fatalf("%s was picked, although there are others", at)
		}
	})
}

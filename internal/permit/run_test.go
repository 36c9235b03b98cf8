package permit_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/permit"
	"hustings/internal/space"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What each node counts is told once a second, taken together, and the worst of it
// kept over a restart.
func TestRunTakesTheServersFigures(t *testing.T) {
	keep := permit.File(t.TempDir() + "/rehearsal.json")
	signer := newSigner(t)
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		nodes := permit.NewNodes(bus, nil, nil)
		var hearing atomic.Int64
		here := func(space.ID) space.Served {
			n := int(hearing.Load())
			return space.Served{Joined: uint64(1000 + n), Skips: 7, Hearing: n, Rung: 48, Interval: 0.5}
		}
		options := permit.Options{Signer: signer, Keep: keep, Nodes: nodes, Measure: here}
		office, err := permit.New(options)
		if err != nil {
			t.Fatal(err)
		}
		granted, err := office.Ask("debate", 100, 60)
		if err != nil {
			t.Fatal(err)
		}
		edge, err := permit.NewVerifier(permit.VerifierOptions{Keys: func() []string { return []string{signer.Verifier()} }, Measure: here})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		running := []func(context.Context) error{
			nodes.Run, office.Run,
			(&permit.Teller{Node: "core", Bus: bus, Verifier: office.Verifier()}).Run,
			(&permit.Teller{Node: "edge.example.org", Bus: bus, Verifier: edge}).Run,
		}
		done := make(chan error)
		for _, run := range running {
			go func() { done <- run(ctx) }()
		}
		standing := func() space.Standing {
			s, err := office.Status("debate", granted.ID)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if err := office.Check("debate", granted.Permit); err != nil {
			t.Fatal(err)
		}
		hearing.Store(50)
		time.Sleep(3500 * time.Millisecond) // of the bubble's clock, all of them
		if now := standing().Now; now != (space.Served{Joined: 50, Hearing: 50, Nodes: 1, Rung: 48, Interval: 0.5}) {
			t.Errorf("with one node: %+v", now)
		}
		if err := edge.Check("debate", granted.Permit); err != nil {
			t.Fatal(err)
		}
		hearing.Store(60)
		time.Sleep(20 * time.Second)
		if now := standing().Now; now.Joined != 70 || now.Hearing != 120 || now.Nodes != 2 || now.Skips != 0 {
			t.Errorf("with an edge: %+v", now)
		}
		cancel()
		for range running {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(10 * time.Second)
		if s := standing(); s.Now.Hearing != 0 || s.Now.Joined != 70 || s.Over {
			t.Errorf("with all silent: %+v", s)
		}
		options.Nodes = nil
		if office, err = permit.New(options); err != nil {
			t.Fatal(err)
		}
		if s := standing(); s.Worst.Hearing != 120 || s.Now != (space.Served{}) {
			t.Errorf("after the restart: %+v", s)
		}
		time.Sleep(time.Minute)
		if s := standing(); !s.Over {
			t.Errorf("after its time: %+v", s)
		}
	})
}

// Nobody on the bus makes the sum anything but a sum.
func FuzzServed(f *testing.F) {
	good, err := json.Marshal(map[string]any{"node": "core", "rehearsal": "x", "served": space.Served{Joined: 3, Hearing: 2, Rung: 48}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("hustings.served.core", good)
	f.Add("hustings.served.edge", good)
	f.Add("hustings.served.core", []byte(`{"node":"core","rehearsal":"x","served":{"hearing":-1}}`))
	f.Add("hustings.served.core", []byte(`{"node":"core","rehearsal":"x","served":{"late":1e300}}`))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		bus := newFakeBus()
		nodes := permit.NewNodes(bus, nil, nil)
		bus.run(t, nodes)
		if err := bus.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
		s := nodes.Served("x")
		if s.Hearing < 0 || s.Late < 0 || s.Late > 1e10 || s.Joined > 1<<40 {
			t.Fatalf("%+v", s)
		}
	})
}

package permit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/permit"
	"hustings/internal/space"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The servers' figures are taken each second, and kept over a restart.
func TestRunTakesTheServersFigures(t *testing.T) {
	keep := permit.File(t.TempDir() + "/rehearsal.json")
	signer := newSigner(t)
	synctest.Test(t, func(t *testing.T) {
		hearing := 0
		options := permit.Options{Signer: signer, Keep: keep, Measure: func(space.ID) space.Served {
			hearing += 10
			return space.Served{Hearing: min(hearing, 50), Rung: max(16, 48-hearing/10)}
		}}
		office, err := permit.New(options)
		if err != nil {
			t.Fatal(err)
		}
		granted, err := office.Ask("debate", 100, 60)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- office.Run(ctx) }()
		time.Sleep(20*time.Second + time.Millisecond) // of the bubble's clock
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		options.Measure = nil
		if office, err = permit.New(options); err != nil {
			t.Fatal(err)
		}
		status, err := office.Status("debate", granted.ID)
		if err != nil || status.Worst.Hearing != 50 || status.Worst.Rung > 33 || status.Now != (space.Served{}) {
			t.Errorf("%+v, %v", status, err)
		}
		// After its time nothing is measured, and nothing runs.
		time.Sleep(time.Minute)
		if status, err = office.Status("debate", granted.ID); err != nil || !status.Over {
			t.Errorf("after its time: %+v, %v", status, err)
		}
	})
}

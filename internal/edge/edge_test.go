package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hustings/internal/bus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

func live(id space.ID, title string) space.Space {
	at := noon()
	return space.Space{ID: id, Title: title, Phase: space.Live, Created: at, StartsAt: &at, OpenedAt: &at, StartedAt: &at}
}

// listed are the addresses and weights that a signed list says.
func (r *rig) listed(signed string) string {
	r.t.Helper()
	if signed == "" {
		return ""
	}
	edges, err := programme.OpenEdges(signed, r.signer.Verifier())
	if err != nil {
		r.t.Fatal(err)
	}
	var text []string
	for _, e := range edges.List {
		text = append(text, fmt.Sprint(e.Weight, " ", e.URL))
	}
	return strings.Join(text, ", ")
}

func TestAnEdgeLearnsWhatIsOnAndIsInTheList(t *testing.T) {
	r := newRig(t)
	r.spaces.add(live(town, "Town hall"))
	for i := range 40 { // more than a page
		r.spaces.add(space.Space{ID: space.ID(fmt.Sprintf("s%d", i)), Title: strings.Repeat("<&>", 20), Description: strings.Repeat("<>", 2000), Phase: space.Scheduled, Created: noon()})
	}
	var pinned atomic.Value
	e := r.join(func(o *Options) {
		o.Pin = func(key string) error { pinned.Store(key); return nil }
		o.Load = func() (float64, int) { return 0.1, 123 }
	})
	if _, err := e.Get(t.Context(), town); space.KindOf(err) != space.Full {
		t.Errorf("before it joined: %v, want one that asks to wait", err)
	}
	stop := run(t, e.Run)
	receive(t, e.Ready())
	if pinned.Load() != r.signer.Verifier() || !slices.Equal(e.Keys(), []string{r.signer.Verifier()}) || e.CoreURL() != "https://core.example.org" {
		t.Errorf("pinned %v, keys %v, core %q", pinned.Load(), e.Keys(), e.CoreURL())
	}
	got, err := e.Get(t.Context(), town)
	if want := live(town, "Town hall"); err != nil || fmt.Sprint(got.StartsAt) != fmt.Sprint(want.StartsAt) || got.Phase != want.Phase || got.Title != want.Title {
		t.Errorf("it knows %+v, %v", got, err)
	}
	if _, err := e.Get(t.Context(), "s39"); err != nil {
		t.Errorf("of the last page: %v", err)
	}
	if _, err := e.Get(t.Context(), "nowhere"); space.KindOf(err) != space.NotFound {
		t.Errorf("of none: %v, want NotFound", err)
	}
	until(t, "the list names both", func() bool {
		return r.listed(r.core.Edges()) == "10 https://e1.example.org, 5 https://core.example.org"
	})
	until(t, "the edge has the list", func() bool { return r.listed(e.Edges()) == r.listed(r.core.Edges()) })
	if r.core.PulseEdges() != r.core.Edges() {
		t.Error("the pulse has another list")
	}
	if err := e.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
	e.Leave()
	until(t, "it is out of the list", func() bool { return r.core.Edges() == "" })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAnEdgeHearsEveryChange(t *testing.T) {
	r := newRig(t)
	var told sync.Map
	e := r.join(func(o *Options) { o.Changed = func(sp space.Space) { told.Store(sp.ID, sp.Phase) } })
	run(t, e.Run)
	receive(t, e.Ready())
	sp := space.Space{ID: "new", Title: "New", Phase: space.Scheduled, Created: noon()}
	r.core.Changed(sp)
	until(t, "it is announced", func() bool { _, err := e.Get(t.Context(), "new"); return err == nil })
	at := noon()
	sp.Phase, sp.EndedAt = space.Ended, &at
	r.core.Changed(sp)
	until(t, "it has ended", func() bool { got, _ := e.Get(t.Context(), "new"); return got.Phase == space.Ended })
	if phase, _ := told.Load(space.ID("new")); phase != space.Ended {
		t.Errorf("told %v", phase)
	}
	page, _, err := e.List(t.Context(), "", 10)
	if err != nil || len(page) != 1 || page[0].ID != "new" {
		t.Errorf("the list: %+v, %v", page, err)
	}
}

// TestWhatIsHeardWhileAskingIsNotOverwritten changes a space between the question and
// the answer that was read before it.
func TestWhatIsHeardWhileAskingIsNotOverwritten(t *testing.T) {
	var d directory
	old, err := json.Marshal(tell(live(town, "Before")))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := json.Marshal(tell(live(town, "After")))
	if err != nil {
		t.Fatal(err)
	}
	err = d.fill(func(spacesRequest) (spacesAnswer, error) {
		if _, err := d.hear("hustings.space.town-hall", changed); err != nil {
			t.Fatal(err)
		}
		return spacesAnswer{Spaces: []json.RawMessage{old}}, nil
	})
	if sp, getErr := d.get(town); err != nil || getErr != nil || sp.Title != "After" {
		t.Errorf("%q, %v, %v", sp.Title, err, getErr)
	}
	if err := d.fill(func(spacesRequest) (spacesAnswer, error) { return spacesAnswer{Next: "x"}, nil }); err == nil {
		t.Error("a list without an end was taken")
	}
	if err := d.fill(func(spacesRequest) (spacesAnswer, error) { return spacesAnswer{}, nil }); err != nil {
		t.Error(err)
	}
	if _, err := d.get(town); space.KindOf(err) != space.NotFound {
		t.Errorf("a space that is there no more: %v", err)
	}
	for _, bad := range []string{`{"id":"other","phase":"live"}`, `{"id":"town-hall","phase":"sung"}`, `{"id":"town-hall","phase":"ended"}`, `{`} {
		if _, err := d.hear("hustings.space.town-hall", []byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestACoreWithAnotherKeyIsRefused(t *testing.T) {
	r := newRig(t)
	trusted := newSigner(t).Verifier()
	e := r.join(func(o *Options) { o.Key = trusted })
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	if err := receive(t, ended); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), trusted) {
		t.Errorf("it ended with %v, want ErrKey", err)
	}
}

// TestACoreThatChangesItsKeyIsTold: who is served already stays, and the log and the
// health tell.
func TestACoreThatChangesItsKeyIsTold(t *testing.T) {
	r := newRig(t)
	var log syncBuffer
	e := r.join(func(o *Options) { o.Logger = log.logger() })
	run(t, e.Run)
	receive(t, e.Ready())
	if err := e.trust(identity{Key: newSigner(t).Verifier()}); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if err := e.Health(); !errors.Is(err, ErrKey) {
		t.Errorf("health: %v", err)
	}
	forged, err := newSigner(t).SignEdges(programme.Edges{At: time.Now(), List: []programme.Edge{{URL: "https://evil.example.org", Weight: 1000}}})
	if err != nil {
		t.Fatal(err)
	}
	before := e.Edges()
	e.onList("", []byte(forged))
	old, err := r.signer.SignEdges(programme.Edges{At: noon().AddDate(-20, 0, 0), List: []programme.Edge{{URL: "https://old.example.org", Weight: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := r.signer.SignEdges(programme.Edges{At: time.Now(), List: []programme.Edge{{URL: "https://new.example.org", Weight: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Edges() != before || !log.has("not to be believed") {
		t.Errorf("a forged list became %q", e.Edges())
	}
	e.onList("", []byte(fresh))
	e.onList("", []byte(old))
	if e.Edges() != fresh {
		t.Errorf("an old list took the place of a newer one")
	}
	if err := e.trust(identity{Key: r.signer.Verifier()}); err != nil || e.Health() != nil {
		t.Errorf("the key that is trusted: %v, %v", err, e.Health())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	b := runBus(t, bus.Options{})
	signer := newSigner(t)
	for _, o := range []Options{
		{}, {Bus: b}, {Bus: b, Name: "e.1", URL: "https://e1.example.org"}, {Bus: b, Name: "e1"},
		{Bus: b, Name: "e1", URL: "https://e1.example.org/"}, {Bus: b, Name: "e1", URL: "https://e1.example.org", Weight: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for _, o := range []CoreOptions{
		{}, {Bus: b, Signer: signer}, {Bus: b, Signer: signer, Spaces: new(shelf), URL: "example.org"},
	} {
		if _, err := NewCore(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestOfManyEdgesThePulseTellsTheHeaviest(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.core.mu.Lock()
		r.core.members.hear(Beat{Name: fmt.Sprint("e", i), URL: fmt.Sprintf("https://e%d.example.org", i), Weight: i}, time.Now())
		r.core.mu.Unlock()
	}
	r.core.pass(time.Now())
	all, pulse := strings.Split(r.listed(r.core.Edges()), ", "), strings.Split(r.listed(r.core.PulseEdges()), ", ")
	if len(all) != 31 || len(pulse) != 16 || pulse[0] != "29 https://e29.example.org" || !slices.Contains(pulse, "5 https://core.example.org") {
		t.Errorf("all: %v; in the pulse: %v", all, pulse)
	}
	r.core.mu.Lock()
	r.core.opts.Load = func() (float64, int) { return 0.95, 0 }
	r.core.mu.Unlock()
	r.core.pass(time.Now())
	if !strings.Contains(r.listed(r.core.PulseEdges()), "1 https://core.example.org") {
		t.Errorf("with a loaded core: %s", r.listed(r.core.PulseEdges()))
	}
	before := r.core.PulseEdges()
	for i := range 30 { // half a minute later they are all still there
		r.core.mu.Lock()
		r.core.members.hear(Beat{Name: fmt.Sprint("e", i), URL: fmt.Sprintf("https://e%d.example.org", i), Weight: i}, time.Now().Add(31*time.Second))
		r.core.mu.Unlock()
	}
	r.core.pass(time.Now().Add(31 * time.Second))
	if r.core.PulseEdges() != before {
		t.Error("the pulse's list was signed anew although the edges are the same")
	}
}

func TestTheCoreAnswersWhatItCan(t *testing.T) {
	r := newRig(t)
	for _, request := range []string{`x`, `{"after":"no id"}`} {
		if _, err := r.bus.Request(t.Context(), "hustings.ask.spaces", []byte(request)); err == nil || !strings.Contains(err.Error(), "JSON object") {
			t.Errorf("%s: %v", request, err)
		}
	}
	r.spaces.fail = errors.New("the disk is on fire")
	if _, err := r.bus.Request(t.Context(), "hustings.ask.spaces", []byte(`{}`)); err == nil || strings.Contains(err.Error(), "fire") {
		t.Errorf("a store that fails: %v", err)
	}
	r.core.hear("hustings.edge.e1", []byte(`{"name":"e1","url":"https://core.example.org","weight":1}`))
	r.core.hear("hustings.edge.e1", []byte(`{}`))
	r.core.hear("hustings.edge.e1", []byte(`{"name":"e1","url":"https://127.0.0.1","weight":1}`))
	members := func() []programme.Edge {
		r.core.mu.Lock()
		defer r.core.mu.Unlock()
		return r.core.members.list()
	}
	if list := members(); len(list) != 0 || !r.log.has("--public-url") || !r.log.has("can't be understood") {
		t.Errorf("the list has %v", list)
	}
	r.core.hear("hustings.edge.e1", []byte(`{"name":"e1","url":"https://e1.example.org","weight":1}`))
	r.core.hear("hustings.edge.e1", []byte(`{"name":"e1","url":"https://e2.example.org","weight":1}`))
	if list := members(); len(list) != 1 || list[0].URL != "https://e1.example.org" || !r.log.has("two edges") {
		t.Errorf("the list has %v", list)
	}
}

func TestTheCoreListsOnlyWhatPagesCanReach(t *testing.T) {
	for _, c := range []struct {
		core, edge string
		listed     bool
	}{
		{"https://core.example.org", "https://e.example.org", true},
		{"https://core.example.org", "https://core.example.org", false}, // itself
		{"https://core.example.org", "http://e.example.org", false},     // which browsers block
		{"http://core.example.org", "http://e.example.org", true},
		{"https://core.example.org", "http://127.0.0.1:8080", false}, // each listener's own machine
		{"https://core.example.org", "https://[::1]:8080", false},
		{"https://core.example.org", "https://localhost", false},
		{"https://core.example.org", "https://0.0.0.0", false},
		{"https://core.example.org", "https://10.0.0.7", true}, // a network of one's own
		{"https://127.0.0.1:443", "http://127.0.0.1:8080", true},
		{"http://localhost:8080", "http://127.0.0.1:8081", true},
		{"", "http://127.0.0.1:8080", true}, // it may be tried out
	} {
		if err := reachable(c.edge, c.core); (err == nil) != c.listed {
			t.Errorf("core %q, edge %q: %v", c.core, c.edge, err)
		}
	}
}

// asks answers requests as a broken archive would.
type asks func(subject string) ([]byte, error)

func (a asks) Request(_ context.Context, subject string, _ []byte) ([]byte, error) { return a(subject) }

func TestAReaderTakesNoOtherBlocksThanItAskedFor(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(12)
	framed := func(seqs ...int) (out []byte) {
		for _, seq := range seqs {
			out = programme.AppendFramed(out, r.data[seq])
		}
		return out
	}
	for name, answer := range map[string][]byte{
		"one before": framed(2, 3), "one behind": framed(3, 4, 5, 6, 7, 8), "not in order": framed(4, 3), "one twice": framed(3, 3),
		"torn": framed(3)[:50], "no block": {0, 0, 0, 1, 'x'},
	} {
		reader := Reader{Bus: asks(func(string) ([]byte, error) { return answer, nil })}
		if blocks, err := reader.Fetch(t.Context(), town, 3, 8); err == nil || len(blocks) > 0 {
			t.Errorf("%s: %d blocks, %v", name, len(blocks), err)
		}
		if blocks, err := reader.Fetch(t.Context(), "elsewhere", 0, 12); err == nil || len(blocks) > 0 {
			t.Errorf("%s, of another space: %d blocks, %v", name, len(blocks), err)
		}
	}
	calls := 0
	reader := Reader{Bus: asks(func(string) ([]byte, error) {
		calls++
		return [][]byte{framed(3, 4), framed(6, 7), {}}[calls-1], nil
	})}
	if blocks, err := reader.Fetch(t.Context(), town, 3, 12); err != nil || len(blocks) != 4 || blocks[3].Seq != 7 {
		t.Errorf("in pieces: %d blocks, %v", len(blocks), err)
	}
	for _, answer := range []string{`{"seq":4}`, `nonsense`} {
		reader := Reader{Bus: asks(func(string) ([]byte, error) { return []byte(answer), nil })}
		if _, err := reader.Snapshot(t.Context(), town, 3); err == nil {
			t.Errorf("the snapshot %s was taken", answer)
		}
	}
}

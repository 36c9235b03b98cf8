//go:build linux

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"hustings/internal/rehearse"
)

const (
	// crowdVariable names the sizes of crowd to try, growing.
	crowdVariable = "CROWD"
	// edgeFlagsVariable has more flags for the edges.
	edgeFlagsVariable = "EDGE_FLAGS"

	// perEdge is how many listeners an edge is to carry: its descriptors are the bound,
	// and those that pages are loaded over are among them.
	perEdge = 14000
	// arrivals a second; each loads the page's documents first.
	arrivals = 1000
)

var (
	defaultCrowds    = []int{20000, 50000, 100000, 150000, 200000, 250000, 300000, 400000, 500000}
	defaultEdgeFlags = "--pin-rung 16 --pin-interval 20s"
)

// BenchmarkCrowd is `make bench-crowd`: a core, as many edges as it takes, and
// rehearsals by the program itself, which grow until somebody did not hear all of it.
func BenchmarkCrowd(b *testing.B) {
	r := newCrowdRun(b)
	for b.Loop() {
		if err := r.run(); err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	r.print()
	writeFigures(b, r.Result)
}

// crowdRun is one run of BenchmarkCrowd.
type crowdRun struct {
	t      testing.TB
	sizes  []int
	flags  []string
	arrive time.Duration // at least
	hold   time.Duration
	pcm    []float32
	core   *core
	edges  []*hustings
	Result crowdResult
}

// crowdResult is what goes to the file.
type crowdResult struct {
	Began            time.Time
	Machine, Version string
	EdgeFlags        string
	Limits           []limit
	Steps            []crowdStep
	Ended            string // what ended it
}

// crowdStep is one rehearsal.
type crowdStep struct {
	Listeners, Edges, Workers int
	Said                      rehearse.Document
	// While all were there, in cores:
	Core, Edge, Crowd, Busy float64
	// Bytes: of the edges and of the crowd for each listener, of everything in all.
	EdgeMemory, CrowdMemory, TakenMemory float64
	Load                                 machineLoad
	Problem                              string `json:",omitempty"`
}

func newCrowdRun(t testing.TB) *crowdRun {
	t.Helper()
	r := &crowdRun{t: t, sizes: defaultCrowds, arrive: 30 * time.Second, hold: 90 * time.Second}
	if os.Getenv(sizeVariable) == "quick" {
		r.sizes, r.arrive, r.hold = []int{2000}, 5*time.Second, 30*time.Second
	}
	if text := os.Getenv(crowdVariable); text != "" {
		r.sizes = nil
		for _, field := range strings.Fields(text) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatalf("%s: %v", crowdVariable, err)
			}
			r.sizes = append(r.sizes, n)
		}
	}
	flags, set := os.LookupEnv(edgeFlagsVariable)
	if !set {
		flags = defaultEdgeFlags
	}
	r.flags = strings.Fields(flags)
	all := newResults(t)
	r.Result = crowdResult{Began: all.Began, Machine: all.Machine, Version: all.Version, EdgeFlags: flags}
	var err error
	if r.pcm, err = readConversation(); err == nil {
		r.Result.Limits, err = limitsOf()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *crowdRun) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "  %4.0fs  %s\n", time.Since(r.Result.Began).Seconds(), fmt.Sprintf(format, args...))
}

// run lets the crowd grow until it is not heard in whole any more.
func (r *crowdRun) run() error {
	for _, l := range r.Result.Limits {
		r.progress("%s: %s %s (%s)", l.Name, thousands(int(l.Has)), l.Unit, l.Note)
	}
	var err error
	if r.core, err = startCore(r.t, r.pcm); err != nil {
		return err
	}
	for _, n := range r.sizes {
		step, err := r.step(n)
		if err != nil {
			step.Problem = err.Error()
		}
		r.Result.Steps = append(r.Result.Steps, step)
		r.progress("%s listeners, %d edges: %s %s", thousands(n), step.Edges, step.Said.Verdict, step.Problem)
		if !step.Said.OK {
			r.Result.Ended = r.why(step)
			return nil
		}
	}
	r.Result.Ended = "nothing: there are larger crowds to try (CROWD)"
	return nil
}

// grow starts edges until there are enough for a crowd.
func (r *crowdRun) grow(listeners int) error {
	for len(r.edges)*perEdge < listeners {
		e, err := r.core.edge(r.t, false, r.flags...)
		if err != nil {
			return fmt.Errorf("edge %d: %w", len(r.edges)+1, err)
		}
		r.edges = append(r.edges, e)
	}
	// Until all of them are in the list that pages choose from.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var space struct{ Edges string }
		if err := r.core.call("GET", "/api/v1/spaces/"+r.core.id, nil, &space); err != nil {
			return err
		}
		missing := 0
		for _, e := range r.edges {
			if !strings.Contains(space.Edges, e.url.Host) {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d edges are not in the core's list:\n%s", missing, len(r.edges), space.Edges)
		}
	}
}

// step is one rehearsal, with a look at the machine while all of the crowd is there.
func (r *crowdRun) step(n int) (crowdStep, error) {
	step := crowdStep{Listeners: n}
	if err := r.grow(n); err != nil {
		return step, err
	}
	step.Edges = len(r.edges)
	before, err := r.look(nil)
	if err != nil {
		return step, err
	}
	arrive := max(r.arrive, time.Duration(n)*time.Second/arrivals)
	rehearsal, said, err := r.rehearse(n, arrive)
	if err != nil {
		return step, err
	}
	select {
	case <-rehearsal.ended: // too soon: below is said why
	case <-time.After(arrive + r.hold/3):
		r.lookTwice(&step, before, rehearsal)
	}
	<-rehearsal.ended
	err = json.Unmarshal(<-said, &step.Said)
	if err != nil {
		err = rehearsal.trouble(fmt.Errorf("its report: %w", err))
	}
	return step, err
}

// rehearse starts `hustings rehearse`; what it reports comes when it has ended.
func (r *crowdRun) rehearse(n int, arrive time.Duration) (*process, <-chan []byte, error) {
	name, err := program()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(name, "rehearse", r.core.url.String()+"/s/"+r.core.id, "--listeners", strconv.Itoa(n),
		"--shape", "even", "--arrive", arrive.String(), "--hold", r.hold.String(), "--json")
	cmd.Env = append(os.Environ(), "HUSTINGS_OWNER_TOKEN="+ownerToken)
	out := &tail{keep: 1 << 20}
	cmd.Stdout = out
	p, err := start(r.t, "rehearse", cmd)
	if err != nil {
		return nil, nil, err
	}
	said := make(chan []byte, 1)
	go func() {
		<-p.ended
		said <- []byte(out.String())
	}()
	return p, said, nil
}

// view is what all processes have taken at one moment.
type view struct {
	at                    time.Time
	machine               machineLoad
	core, edges, crowd    time.Duration // of processor time
	edgeMemory, crowdSize int64
}

func (r *crowdRun) look(crowd *process) (view, error) {
	v := view{at: time.Now()}
	var errs []error
	take := func(p *process, cpu *time.Duration, memory *int64) {
		used, err := p.cpuTime()
		errs = append(errs, err)
		*cpu += used
		size, err := p.memory()
		errs = append(errs, err)
		*memory += size
	}
	var none int64
	take(r.core.process, &v.core, &none)
	for _, e := range r.edges {
		take(e.process, &v.edges, &v.edgeMemory)
	}
	if crowd != nil {
		take(crowd, &v.crowd, &v.crowdSize)
	}
	load, err := loadOf()
	v.machine = load
	return v, errors.Join(append(errs, err)...)
}

// lookTwice measures a third of the hold.
func (r *crowdRun) lookTwice(step *crowdStep, before view, rehearsal *process) {
	first, err := r.look(rehearsal)
	time.Sleep(r.hold / 3)
	second, err2 := r.look(rehearsal)
	if err := errors.Join(err, err2); err != nil {
		step.Problem = err.Error()
		return
	}
	wall, n := float64(second.at.Sub(first.at)), float64(step.Listeners)
	step.Workers = max(1, len(rehearsal.family())-1)
	step.Core = float64(second.core-first.core) / wall
	step.Edge = float64(second.edges-first.edges) / wall
	step.Crowd = float64(second.crowd-first.crowd) / wall
	step.Busy = second.machine.busySince(first.machine)
	step.EdgeMemory = float64(second.edgeMemory-before.edgeMemory) / n
	step.CrowdMemory = float64(second.crowdSize) / n
	step.TakenMemory = float64(before.machine.Available-second.machine.Available) / n
	step.Load = second.machine
}

// why says what ended it, by what was found to be used up.
func (r *crowdRun) why(step crowdStep) string {
	var all []string
	if step.Said.Limit != "" {
		all = append(all, "the crowd's own processes: "+step.Said.Limit)
	}
	if step.Busy > 0.95 {
		all = append(all, fmt.Sprintf("the processors, %.0f%% busy while all were there", 100*step.Busy))
	}
	if step.Load.Available > 0 && step.Load.Available < 1<<30 {
		all = append(all, fmt.Sprintf("memory, of which %d MB were left", step.Load.Available>>20))
	}
	if most, err := number("/proc/sys/fs/file-max", 0); err == nil && step.Load.Files > most*95/100 {
		all = append(all, fmt.Sprintf("descriptors: %d of %d", step.Load.Files, most))
	}
	if most, err := number("/proc/sys/net/ipv4/tcp_mem", 1); err == nil && step.Load.TCPMemory > most*int64(os.Getpagesize()) {
		all = append(all, fmt.Sprintf("TCP's memory: %d MB were under way", step.Load.TCPMemory>>20))
	}
	if most, err := number("/proc/sys/net/netfilter/nf_conntrack_max", 0); err == nil && step.Load.Tracked > most*95/100 {
		all = append(all, fmt.Sprintf("what the firewall can follow: %d of %d connections", step.Load.Tracked, most))
	}
	switch {
	case len(all) > 0:
		return strings.Join(all, "; ")
	case step.Problem != "":
		return step.Problem
	}
	return step.Said.Verdict
}

func (r *crowdRun) print() {
	var rows [][]string
	for _, s := range r.Result.Steps {
		if s.Said.Verdict == "" {
			continue
		}
		rows = append(rows, []string{
			thousands(s.Listeners), fmt.Sprintf("%d and %d", s.Edges, s.Workers), s.Said.Verdict,
			fmt.Sprintf("%.1f / %.1f / %.1f s", s.Said.Crowd.FirstSound.P50, s.Said.Crowd.FirstSound.P99, s.Said.Crowd.FirstSound.Max),
			fmt.Sprintf("%.2f + %.2f + %.2f", s.Edge, s.Crowd, s.Core), fmt.Sprintf("%.0f%%", 100*s.Busy),
			fmt.Sprintf("%.1f + %.1f", s.EdgeMemory/1000, s.CrowdMemory/1000), fmt.Sprintf("%.1f", s.TakenMemory/1000),
			fmt.Sprintf("%.1f", s.Said.MostBytes/1e6),
		})
	}
	table("One crowd on one machine; edges with "+r.Result.EdgeFlags, []string{
		"listeners", "edges and workers", "", "first sound p50 / p99 / max", "cores: edges + crowd + core", "of the machine",
		"kB a listener: edge + crowd", "kB of the machine", "MB/s at most",
	}, rows)
	fmt.Printf("\nWhat ended it: %s.\n", strings.TrimSuffix(r.Result.Ended, "."))
}

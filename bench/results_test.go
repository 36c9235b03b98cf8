//go:build linux

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// results are all figures of a run. Durations are in nanoseconds where the name does
// not say otherwise.
type results struct {
	Began      time.Time
	Machine    string
	Version    string // of Hustings
	Deliveries []delivery
	Joins      []join
	HLS        []requests
}

// delivery is what it takes to keep listeners supplied.
type delivery struct {
	Server    string
	Interval  float64 // seconds between two turns of a listener
	Listeners int
	CPU       float64 // microseconds for a listener and second, Base left out
	CPUError  float64 // standard error of that
	Base      float64 // share of a core with nobody there: the stage, the encoders
	Bytes     float64 // a listener and second
	Memory    float64 // bytes of the process for each listener
	Lost      int     // listeners who were lost on the way
	Problem   string  `json:",omitempty"`
}

// join is how a crowd got in.
type join struct {
	Server                string
	Rate, Joiners         int
	Offered               float64 // joins a second that the crowd managed to begin
	Heard, Never, Refused int
	FirstByte, FirstSound spread
	Silence, Gap, Missed  time.Duration
	Gapped, Lost          int
	CPU                   float64 // seconds of the server until all had joined
	Trouble, Problem      string  `json:",omitempty"`
}

// requests is how fast files of HLS are served.
type requests struct {
	Server, File string
	Size         int
	Rate         float64 // a second
	CPU          float64 // microseconds of the server for each
	P50, P99     time.Duration
	Problem      string `json:",omitempty"`
}

func newResults(t testing.TB) results {
	r := results{Began: time.Now().UTC(), Machine: machine()}
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command(name, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", name, err)
	}
	r.Version = strings.TrimSpace(string(version))
	return r
}

// machine says what this is measured on.
func machine() string {
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, found := strings.Cut(string(text), "model name"); found {
		line, _, _ := strings.Cut(rest, "\n")
		model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
	}
	return fmt.Sprintf("%d cores, %s", runtime.NumCPU(), model)
}

// progress tells whoever waits what has just been found.
func (r *results) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "  %4.0fs  %s\n", time.Since(r.Began).Seconds(), fmt.Sprintf(format, args...))
}

// writeFigures writes all that was found to the file that was named for it.
func writeFigures(t testing.TB, figures any) {
	t.Helper()
	name := os.Getenv(resultVariable)
	if name == "" {
		return
	}
	text, err := json.MarshalIndent(figures, "", " ")
	if err == nil {
		err = os.WriteFile(name, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// table prints a table in Markdown.
func table(title string, columns []string, rows [][]string) {
	fmt.Printf("\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Printf("| %s |\n", strings.Join(row, " | "))
	}
}

func (r *results) delivery(server string, T time.Duration, n int) (delivery, bool) {
	for _, d := range r.Deliveries {
		if d.Server == server && d.Interval == T.Seconds() && (d.Listeners == n || d.Problem != "") {
			return d, d.Problem == ""
		}
	}
	return delivery{}, false
}

func (r *results) printDeliveries(p plan) {
	var rows [][]string
	for _, n := range p.Crowds {
		for _, T := range p.Intervals {
			row := []string{thousands(n), seconds(T)}
			for _, pair := range [][2]string{{bareName, plainName}, {sealedName, tlsName}} {
				yardstick, known := r.delivery(pair[0], T, n)
				own, measured := r.delivery(pair[1], T, n)
				row = append(row, cost(yardstick, known), cost(own, measured), ratio(own, yardstick, known && measured))
			}
			icecast, known := r.delivery(icecastName, T, n)
			rows = append(rows, append(row, cost(icecast, known)))
		}
	}
	table("Processor time for a listener and second, in us",
		[]string{"listeners", "T", bareName, plainName, "", sealedName, tlsName, "", icecastName}, rows)

	rows = nil
	T := p.Intervals[0]
	for _, n := range p.Crowds {
		row := []string{thousands(n)}
		for _, server := range []string{bareName, plainName, sealedName, tlsName, icecastName} {
			d, known := r.delivery(server, T, n)
			if server == icecastName {
				d, known = r.delivery(server, p.Pages[0], n)
			}
			row = append(row, kilobytes(d, known))
		}
		rows = append(rows, row)
	}
	table("Memory of the process for each listener, in kB, at T = "+seconds(T),
		[]string{"listeners", bareName, plainName, sealedName, tlsName, icecastName}, rows)

	fmt.Println()
	for _, server := range []string{bareName, plainName, sealedName, tlsName, icecastName} {
		r.printAside(server)
	}
}

// printAside says what belongs to a server's rows: what it sent, and what it takes
// with nobody there.
func (r *results) printAside(server string) {
	var bytes, base, n float64
	lost := 0
	for _, d := range r.Deliveries {
		if d.Server != server {
			continue
		}
		if d.Problem != "" {
			fmt.Printf("%s at T = %v s was not measured: %s\n", server, d.Interval, d.Problem)
			continue
		}
		bytes, base, n, lost = bytes+d.Bytes, base+d.Base, n+1, lost+d.Lost
	}
	if n > 0 {
		fmt.Printf("%s: %.0f bytes to a listener in a second; with nobody there %.1f%% of a core (left out above); %d listeners lost.\n",
			server, bytes/n, 100*base/n, lost)
	}
}

func (r *results) printJoins(p plan) {
	var rows [][]string
	for _, j := range r.Joins {
		if j.Problem != "" {
			fmt.Printf("%s at %d/s was not measured: %s\n", j.Server, j.Rate, j.Problem)
			continue
		}
		rows = append(rows, []string{
			thousands(j.Rate), j.Server, thousands(int(j.Offered)),
			spans(j.FirstByte), spans(j.FirstSound), thousands(j.Never), span(j.Silence), gap(j), fmt.Sprintf("%.0f us", j.CPU/float64(j.Joiners)*1e6),
		})
	}
	table(fmt.Sprintf("%s joins, from as many addresses", thousands(p.Joiners)), []string{
		"joins a second", "", "begun a second", "first byte p50 / p99 / max", "first sound p50 / p99 / max",
		fmt.Sprintf("nothing in %.0f s", p.Patience.Seconds()), "longest without a byte", "longest gap in the sound", "processor time a join",
	}, rows)
}

func gap(j join) string {
	longest := max(j.Gap, j.Missed)
	switch {
	case j.Heard == 0:
		return "—"
	case longest == 0:
		return "none"
	}
	return fmt.Sprintf("%s, of %s listeners", span(longest), thousands(j.Gapped))
}

func (r *results) printHLS() {
	var rows [][]string
	for _, q := range r.HLS {
		if q.Problem != "" {
			fmt.Printf("%s, %s was not measured: %s\n", q.Server, q.File, q.Problem)
			continue
		}
		rows = append(rows, []string{
			q.File, thousands(q.Size), q.Server, thousands(int(q.Rate)), fmt.Sprintf("%.1f us", q.CPU), span(q.P50), span(q.P99),
		})
	}
	table("HLS: requests on connections that are kept, from a generator on the same machine",
		[]string{"file", "bytes", "", "requests a second", "processor time a request", "p50", "p99"}, rows)
}

// thousands writes 15000 as 15,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }

// span writes a duration with as many digits as it deserves.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func spans(s spread) string {
	if s == (spread{}) {
		return "—"
	}
	return span(s.P50) + " / " + span(s.P99) + " / " + span(s.Max)
}

// cost writes processor time, with its error where that is more than a tenth.
func cost(d delivery, known bool) string {
	switch {
	case !known:
		return "—"
	case d.CPUError > d.CPU/10:
		return fmt.Sprintf("%.1f ± %.1f", d.CPU, d.CPUError)
	}
	return fmt.Sprintf("%.1f", d.CPU)
}

func ratio(own, yardstick delivery, known bool) string {
	if !known || yardstick.CPU <= 0 {
		return "—"
	}
	return fmt.Sprintf("%.2fx", own.CPU/yardstick.CPU)
}

func kilobytes(d delivery, known bool) string {
	if !known {
		return "—"
	}
	return fmt.Sprintf("%.1f", d.Memory/1000)
}

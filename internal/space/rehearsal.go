package space

import "time"

// Rehearsal is a crowd of simulated listeners that a server permits.
type Rehearsal struct {
	ID        string    `json:"id"`
	Space     ID        `json:"space"`
	Listeners int       `json:"listeners"` // at most
	BeganAt   time.Time `json:"began_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Permit is the permission for a rehearsal, as it is given out.
type Permit struct {
	Rehearsal
	Permit string `json:"permit" doc:"For the crowd: the query parameter rehearsal of what it listens to"`
	Limits Limits `json:"limits"`
}

// Limits are the most that can be asked for.
type Limits struct {
	Listeners int `json:"listeners"`
	Seconds   int `json:"seconds"`
}

// Standing is how a rehearsal stands.
type Standing struct {
	Rehearsal
	Over  bool   `json:"over" doc:"It takes nobody any more"`
	Now   Served `json:"now"`
	Worst Served `json:"worst" doc:"The worst of each figure so far"`
}

// Served is what the servers of a deployment count of a rehearsal, by themselves and
// not by what the crowd says. Durations are in seconds.
type Served struct {
	Joined  uint64 `json:"joined"`  // connections of the crowd so far
	Hearing int    `json:"hearing"` // those of the crowd whose TCP acknowledges what they are sent
	Skips   uint64 `json:"skips"`   // times that one of the crowd was moved to the live edge
	Nodes   int    `json:"nodes"`   // that serve listeners

	// Audience is the tally beside it: real listeners. A rehearsal is not in it.
	Audience int `json:"audience"`

	Processor float64 `json:"processor"` // share of its processors that the busiest node uses, 0 to 1
	Late      float64 `json:"late"`      // of the latest delivery in the last second
	Interval  float64 `json:"interval"`  // T: between two deliveries to one listener
	Depth     float64 `json:"depth"`     // that pages are told to stay behind
	Rung      int     `json:"rung"`      // best rate that is sent, in kb/s
}

// Worst holds of each figure the more telling one of the two: the most that joined,
// heard or was late, and the lowest rung.
func (s Served) Worst(o Served) Served {
	w := Served{
		Joined: max(s.Joined, o.Joined), Hearing: max(s.Hearing, o.Hearing), Skips: max(s.Skips, o.Skips),
		Nodes: max(s.Nodes, o.Nodes), Audience: max(s.Audience, o.Audience),
		Processor: max(s.Processor, o.Processor), Late: max(s.Late, o.Late),
		Interval: max(s.Interval, o.Interval), Depth: max(s.Depth, o.Depth), Rung: max(s.Rung, o.Rung),
	}
	if s.Rung > 0 && o.Rung > 0 {
		w.Rung = min(s.Rung, o.Rung)
	}
	return w
}

// Crowd is what the crowd of a rehearsal heard, as it says itself. Durations are in
// seconds.
type Crowd struct {
	Shape     string `json:"shape" doc:"How they came: even, rush, storm or exit" pattern:"^[a-z]{1,16}$"`
	Listeners int    `json:"listeners" minimum:"0" doc:"That were to come"`
	Joined    int    `json:"joined" minimum:"0" doc:"That were answered with the programme"`
	Heard     int    `json:"heard" minimum:"0" doc:"That heard sound"`
	Whole     int    `json:"whole" minimum:"0" doc:"That heard every block, in order and in time, from their first to their last"`
	// Together decides on the capacity.
	Together int `json:"together" minimum:"0" doc:"Most that heard at one time before the first fault: a gap, a wrong block, someone turned away. If all had come by then, no more than those who heard all"`

	Gaps       int     `json:"gaps" minimum:"0"`
	GapSeconds float64 `json:"gap_seconds" minimum:"0"`
	LongestGap float64 `json:"longest_gap_seconds" minimum:"0"`

	FirstSound    Spread  `json:"first_sound_seconds" doc:"From a listener's first request to its first block"`
	Reconnects    int     `json:"reconnects" minimum:"0"`
	Blocks        int64   `json:"blocks" minimum:"0"`
	BlocksProven  int64   `json:"blocks_proven" minimum:"0" doc:"Found in the signed log exactly as they were heard"`
	BlocksRefuted int64   `json:"blocks_refuted" minimum:"0" doc:"That were not what was signed"`
	Bytes         int64   `json:"bytes" minimum:"0"`
	Seconds       float64 `json:"seconds" minimum:"0" doc:"From the first arrival to the end"`

	Workers     int  `json:"workers" minimum:"0" doc:"Processes that the crowd ran in"`
	DeadWorkers int  `json:"dead_workers" minimum:"0"`
	Limited     bool `json:"generator_limited" doc:"The machine of the crowd, not the server, was the limit"`
	Interrupted bool `json:"interrupted"`
}

// Spread is a distribution, by its quantiles.
type Spread struct {
	P50 float64 `json:"p50" minimum:"0"`
	P90 float64 `json:"p90" minimum:"0"`
	P99 float64 `json:"p99" minimum:"0"`
	Max float64 `json:"max" minimum:"0"`
}

// Capacity is how many listeners a deployment has been shown to carry.
type Capacity struct {
	Listeners   int        `json:"listeners" doc:"Most that all heard without a gap in the last rehearsal; 0 before the first"`
	RehearsedAt *time.Time `json:"rehearsed_at" nullable:"true"`
	Stale       bool       `json:"stale" doc:"What was rehearsed is not what serves now, or nothing was rehearsed"`
	Why         string     `json:"why" doc:"What has changed since; empty if it holds"`
	Report      string     `json:"report" doc:"The signed report of that rehearsal, a note of golang.org/x/mod/sumdb/note; empty before the first"`
}

package rehearse

import (
	"time"

	"hustings/internal/hearing"
	"hustings/internal/space"
)

// count is what the processes of a crowd have counted together.
type count struct {
	hearing.Figures
	Whole int64 `json:"whole"` // heard every block in order and in time; at the least
	Dead  int   `json:"dead"`  // workers that ended before their time
	Lost  int64 `json:"lost"`  // listeners of theirs
}

// whole returns how many heard all, at the least: one who missed blocks and whose
// buffer ran dry as well is counted as two who did not.
func whole(f hearing.Figures) int64 { return max(0, f.EverHeard-f.Gaps.Listeners-f.Dries.Listeners) }

// died turns the last figures of a worker into those of one that is gone: what was
// counted stays, nobody is there any more, and all its listeners count as failed.
func died(f hearing.Figures, listeners int) hearing.Figures {
	f.Asked = int64(listeners)
	f.Waiting, f.Connecting, f.Joined, f.Hearing, f.Dry, f.BytesPerSecond = 0, 0, 0, 0, 0, 0
	f.Edges = nil
	f.Failed = map[string]int64{"their worker process died": int64(listeners)}
	return f
}

// add merges the figures of a process.
func (c *count) add(f hearing.Figures, dead bool, listeners int) {
	if dead {
		c.Figures.Merge(died(f, listeners))
		c.Dead++
		c.Lost += int64(listeners)
		return
	}
	c.Figures.Merge(f)
	c.Whole += whole(f)
}

// faulty tells whether somebody fared worse than a crowd should: from then on,
// nothing speaks for a capacity any more.
func (c count) faulty() bool {
	return c.Gaps.Count > 0 || c.Dries.Count > 0 || c.Mismatched > 0 || c.GaveUp > 0 || c.Dead > 0
}

// Sample is one second of a rehearsal.
type Sample struct {
	At time.Duration // since the first arrival
	count
	// Generator is the share of this machine's processors that the crowd took.
	Generator float64
	// Served is what the servers counted; nil if they were not heard in this second.
	Served *space.Served
}

// course is how a rehearsal went, second by second.
type course struct {
	samples []Sample
	most    struct {
		hearing   int64
		bytes     float64 // in a second
		generator float64
		late      float64 // of the generator
	}
	served space.Served // the worst of it
	calm   int64        // most that heard at a time, before the first fault
	// complete says that all had come before the first fault.
	complete bool
}

func (c *course) add(s Sample) {
	c.samples = append(c.samples, s)
	if !s.faulty() {
		c.calm = max(c.calm, s.Hearing)
		c.complete = s.Arrived >= s.Asked
	}
	c.most.hearing = max(c.most.hearing, s.Hearing)
	c.most.bytes = max(c.most.bytes, s.BytesPerSecond)
	c.most.generator = max(c.most.generator, s.Generator)
	c.most.late = max(c.most.late, s.Figures.Generator.Late)
	if s.Served != nil {
		c.served = c.served.Worst(*s.Served)
	}
}

// together is how many the rehearsal has shown to hear at a time without a gap. While
// they still come, the first fault tells where the limit is. Once all were there,
// there is nothing below that was shown to hold: then it is those who heard all.
func (c *course) together() int64 {
	if last := c.last(); last.faulty() && c.complete {
		return min(c.calm, last.Whole)
	}
	return c.calm
}

// last returns the newest sample, or an empty one.
func (c *course) last() Sample {
	if len(c.samples) == 0 {
		return Sample{}
	}
	return c.samples[len(c.samples)-1]
}

// busiest is the share of the machine above which the crowd, not the server, is
// taken to be the limit.
const busiest = 0.95

// limited says why the generator and not the server was the limit, or "". Where the
// server was late by more, it was not.
func (c *course) limited() string {
	g := c.last().Figures.Generator
	switch why := g.Limit(); {
	case c.most.generator > busiest:
		return "the crowd took all processors of this machine"
	case why != "" && max(g.WorstLate, g.WorstBehind) > c.served.Late:
		return why
	}
	return ""
}

// crowdOf makes the figures that are reported.
func (c *course) crowdOf(p Plan, workers int, interrupted bool) space.Crowd {
	last := c.last()
	spread := func(t hearing.Times) space.Spread {
		return space.Spread{P50: t.Quantile(0.5).Seconds(), P90: t.Quantile(0.9).Seconds(), P99: t.Quantile(0.99).Seconds(), Max: t.Max().Seconds()}
	}
	return space.Crowd{
		Shape: string(p.Shape), Listeners: p.Listeners,
		Joined: int(last.EverJoined), Heard: int(last.EverHeard), Whole: int(last.Whole), Together: int(c.together()),
		Gaps: int(last.Gaps.Count + last.Dries.Count), GapSeconds: last.Gaps.Seconds + last.Dries.Seconds,
		LongestGap: max(last.Gaps.Longest, last.Dries.Longest),
		FirstSound: spread(last.FirstSound), Reconnects: int(last.Reconnects),
		Blocks: last.Blocks, BlocksProven: last.Proven, BlocksRefuted: last.Mismatched, Bytes: last.Bytes,
		Seconds: last.At.Seconds(), Workers: workers, DeadWorkers: last.Dead,
		Limited: c.limited() != "", Interrupted: interrupted,
	}
}

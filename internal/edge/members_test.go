package edge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hustings/internal/programme"
)

func noon() time.Time { return time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC) }

// crew is members and a clock that beats in tenths of a second.
type crew struct {
	t *testing.T
	members
	now   time.Time
	alive map[string]*Beat // who beats, once a second
}

func newCrew(t *testing.T, names ...string) *crew {
	c := &crew{t: t, now: noon(), alive: make(map[string]*Beat)}
	for _, name := range names {
		c.alive[name] = &Beat{Name: name, URL: "https://" + name + ".example.org", Weight: 10}
	}
	return c
}

// pass lets time go by and returns how often the list changed.
func (c *crew) pass(d time.Duration) (changes int) {
	c.t.Helper()
	was := fmt.Sprint(c.list())
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(100 * time.Millisecond) {
		if c.now.Nanosecond() == 0 {
			for _, b := range c.alive {
				c.hear(*b, c.now)
			}
		}
		c.members.pass(c.now)
		if is := fmt.Sprint(c.list()); is != was {
			changes, was = changes+1, is
		}
	}
	return changes
}

// weights are those of the list, by name.
func (c *crew) weights() string {
	text := ""
	for _, e := range c.list() {
		text += fmt.Sprintf("%s %d ", e.URL[len("https://"):len(e.URL)-len(".example.org")], e.Weight)
	}
	return text
}

func (c *crew) want(when, weights string) {
	c.t.Helper()
	if got := c.weights(); got != weights {
		c.t.Errorf("%s the list is %q, want %q", when, got, weights)
	}
}

func TestAnEdgeThatFallsSilentIsOutOfTheListInThreeSeconds(t *testing.T) {
	c := newCrew(t, "a", "b")
	if n := c.pass(10 * time.Minute); n != 1 {
		t.Errorf("the list changed %d times while all was well, want once", n)
	}
	c.want("with both", "a 10 b 10 ")
	delete(c.alive, "b")
	c.pass(2 * time.Second)
	c.want("after two seconds of silence", "a 10 b 10 ")
	c.pass(1500 * time.Millisecond)
	c.want("after more than three", "a 10 ")
}

// TestTwoEdgesOfOneName are a data folder that was copied: were both believed, the
// list would change with every beat.
func TestTwoEdgesOfOneName(t *testing.T) {
	c := newCrew(t, "a")
	c.pass(5 * time.Second)
	twin := *c.alive["a"]
	twin.URL = "https://b.example.org"
	changes := 0
	for range 20 {
		if c.hear(twin, c.now) {
			t.Fatal("the second of a name was believed")
		}
		changes += c.pass(time.Second)
	}
	if changes > 0 {
		t.Errorf("the list changed %d times", changes)
	}
	bye := twin
	bye.Bye = true
	c.hear(bye, c.now)
	c.want("when the second has gone", "a 10 ")
	c.alive["a"] = &twin
	c.pass(10 * time.Second)
	c.want("when the first is silent", "b 10 ")
}

func TestAnEdgeThatSaysGoodbyeIsOutAtOnce(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(5 * time.Second)
	bye := *c.alive["b"]
	bye.Bye = true
	delete(c.alive, "b")
	c.hear(bye, c.now)
	c.want("after the goodbye", "a 10 ")
	c.alive["b"] = &Beat{Name: "b", URL: "https://b.example.org", Weight: 10}
	c.pass(1100 * time.Millisecond)
	c.want("when it is started again", "a 10 b 10 ")
}

func TestAnEdgeThatComesAndGoesHasToStayLongerEachTime(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(5 * time.Second)
	flaky := c.alive["b"]
	changes := 0
	for range 30 { // five minutes in which it is there half of the time
		delete(c.alive, "b")
		changes += c.pass(5 * time.Second)
		c.alive["b"] = flaky
		changes += c.pass(5 * time.Second)
	}
	if changes > 8 {
		t.Errorf("the list changed %d times with the edge that flaps", changes)
	}
	c.pass(time.Minute)
	c.want("when it has stayed for a minute", "a 10 b 10 ")
	c.pass(5 * time.Minute)
	delete(c.alive, "b")
	c.pass(5 * time.Second)
	c.alive["b"] = flaky
	c.pass(4 * time.Second)
	c.want("its one loss after minutes of calm is soon forgiven:", "a 10 b 10 ")
}

func TestNobodyIsLostWhileTheCoreStandsStill(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(5 * time.Second)
	c.now = c.now.Add(20 * time.Second) // the machine was suspended
	if n := c.pass(5 * time.Second); n != 0 {
		t.Errorf("the list changed %d times", n)
	}
	c.want("after it", "a 10 b 10 ")
}

func TestALoadedEdgeIsGivenLess(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(5 * time.Second)
	b := c.alive["b"]
	for _, step := range []struct {
		load    float64
		weights string
	}{{0.7, "a 10 b 10 "}, {0.8, "a 10 b 5 "}, {0.95, "a 10 b 2 "}} {
		b.Load = step.load
		c.pass(2 * time.Second)
		c.want(fmt.Sprintf("at a load of %v", step.load), step.weights)
	}
	changes := 0
	for i := range 40 { // around the edge of two shares
		b.Load = 0.88 + 0.04*float64(i%2)
		changes += c.pass(3 * time.Second)
	}
	if changes != 0 {
		t.Errorf("the list changed %d times with a load that wavers", changes)
	}
	b.Load = 0.1
	c.pass(10 * time.Second)
	c.want("calm, but not for long", "a 10 b 2 ")
	c.pass(10 * time.Second)
	c.want("calm", "a 10 b 10 ")
	b.Weight, b.Load = 1, 1
	c.pass(2 * time.Second)
	c.want("the least weight stays one:", "a 10 b 1 ")
	b.Weight = 0
	c.pass(2 * time.Second)
	c.want("and none stays none:", "a 10 b 0 ")
}

func TestTheListIsBounded(t *testing.T) {
	c := newCrew(t)
	for i := range 2 * programme.MaxEdges {
		name := fmt.Sprintf("e%d", i)
		c.alive[name] = &Beat{Name: name, URL: "https://" + name + ".example.org"}
	}
	c.pass(3 * time.Second)
	if n := len(c.list()); n != programme.MaxEdges-1 {
		t.Errorf("%d edges are in the list", n)
	}
	twins := newCrew(t, "a", "b")
	twins.alive["b"].URL = twins.alive["a"].URL
	twins.pass(3 * time.Second)
	twins.want("two of one address:", "a 10 ")
}

func TestParseBeat(t *testing.T) {
	good := `{"name":"e1","url":"https://e1.example.org","weight":10,"listeners":3,"load":0.5}`
	b, err := ParseBeat("hustings.edge.e1", []byte(good))
	if err != nil || b != (Beat{Name: "e1", URL: "https://e1.example.org", Weight: 10, Listeners: 3, Load: 0.5}) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range []string{
		`{"name":"e2","url":"https://e1.example.org","weight":10}`, `{"name":"e1","url":"https://e1.example.org/x","weight":10}`,
		`{"name":"e1","url":"javascript:alert(1)","weight":10}`, `{"name":"e1","url":"https://e1.example.org","weight":-1}`,
		`{"name":"e1","url":"https://e1.example.org","weight":1,"listeners":-5}`, `[]`, ``,
		`{"name":"e1","url":"https://e1.example.org","weight":1,"listeners":9000000000000000000}`,
		`{"name":"e1","url":"https://e1.example.org","weight":1,"version":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		if _, err := ParseBeat("hustings.edge.e1", []byte(bad)); !errors.Is(err, ErrBeat) {
			t.Errorf("%s: %v, want ErrBeat", bad, err)
		}
	}
}

func FuzzParseBeat(f *testing.F) {
	f.Add("hustings.edge.e1", []byte(`{"name":"e1","url":"https://e1.example.org","weight":10,"listeners":3,"load":0.5}`))
	f.Add("hustings.edge.e1", []byte(`{"name":"e1","url":"https://e1.example.org","weight":10,"load":-1e300}`))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		b, err := ParseBeat(subject, data)
		if err != nil {
			return
		}
		var m members
		if !m.hear(b, noon()) {
			t.Fatalf("%+v is not believed, though it is the first", b)
		}
		if list := m.list(); !b.Bye && (len(list) != 1 || !slices.ContainsFunc(list, programme.Edge.Valid)) {
			t.Fatalf("%+v makes the list %+v", b, list)
		}
	})
}

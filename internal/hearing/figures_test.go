package hearing

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// fill gives each number of a struct another value, each table an entry and each
// histogram some times, so that a field that is forgotten somewhere is seen.
func fill(v reflect.Value, next *int64) {
	switch v.Kind() {
	case reflect.Struct:
		switch p := v.Addr().Interface().(type) {
		case *Times:
			for range 3 {
				*next++
				p.Record(time.Duration(*next) * time.Millisecond)
			}
			return
		case *time.Time:
			*p = time.Unix(1e9, 0).UTC()
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Int, reflect.Int64:
		*next++
		v.SetInt(*next)
	case reflect.Float64:
		*next++
		v.SetFloat(float64(*next) + 0.5)
	case reflect.Map:
		key := reflect.New(v.Type().Key()).Elem()
		if key.Kind() == reflect.String {
			key.SetString("a")
		} else {
			key.SetInt(503)
		}
		*next++
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, reflect.ValueOf(*next))
	}
}

func TestFiguresGoThroughJSON(t *testing.T) {
	var f, back Figures
	var n int64
	fill(reflect.ValueOf(&f).Elem(), &n)
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s\nbecame\n%s (%v)", text, again, err)
	}
	if back.FirstSound.Quantile(1) != f.FirstSound.Quantile(1) || back.FirstSound.Count() != 3 {
		t.Errorf("first sound: %v of %d", back.FirstSound.Max(), back.FirstSound.Count())
	}
}

// Merged with nothing, everything stays; merged with itself, nothing is less.
func TestFiguresMergeLeavesNothingOut(t *testing.T) {
	var f, sum, twice Figures
	var n int64
	fill(reflect.ValueOf(&f).Elem(), &n)
	sum.Merge(f)
	one, _ := json.Marshal(f)
	if got, _ := json.Marshal(sum); string(got) != string(one) {
		t.Errorf("%s\nmerged with nothing is\n%s", one, got)
	}
	twice.Merge(f)
	twice.Merge(f)
	if twice.Blocks != 2*f.Blocks || twice.Refused[503] != 2*f.Refused[503] || twice.Gaps.Longest != f.Gaps.Longest ||
		twice.Gaps.Count != 2*f.Gaps.Count || twice.FirstByte.Count() != 6 || twice.Generator.Processes != 2*f.Generator.Processes ||
		twice.Generator.WorstLate != f.Generator.WorstLate || twice.Depth != f.Depth || twice.Seconds != f.Seconds {
		t.Errorf("merged with itself: %+v", twice)
	}
	if f.Refused[503] != sum.Refused[503] {
		t.Errorf("merging changed what was merged: %v", f.Refused)
	}
}

func TestTimesStayWithinTheirBounds(t *testing.T) {
	var times Times
	if times.Quantile(0.5) != 0 || times.Max() != 0 || times.Count() != 0 {
		t.Error("nothing was recorded, and something is told")
	}
	times.Record(-time.Second)
	times.Record(500 * time.Millisecond)
	times.Record(time.Hour)
	if got := times.Quantile(0.5); got < 495*time.Millisecond || got > 505*time.Millisecond {
		t.Errorf("the median is %v", got)
	}
	if got := times.Max(); got < 594*time.Second || got > 606*time.Second {
		t.Errorf("the longest is %v", got)
	}
	if err := new(Times).UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("nonsense was taken for times")
	}
}

func TestTheGeneratorSaysThatItWasTheLimit(t *testing.T) {
	for name, g := range map[string]Generator{
		"late": {WorstLate: 0.3}, "behind": {WorstBehind: 0.6}, "busy": {MostBusy: 0.97},
	} {
		if g.Limit() == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
	if why := (Generator{WorstLate: 0.02, WorstBehind: 0.1, MostBusy: 0.5}).Limit(); why != "" {
		t.Errorf("an easy run: %q", why)
	}
}

package policy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
)

func zones(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "zones.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		if !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// wall is the clock on the wall, by arithmetic of its own: only the offset from UTC
// is taken from the time zone database.
type wall struct {
	day, minute int // days since 1970-01-01, minute of the day
}

func wallOf(t time.Time, zone *time.Location) wall {
	_, offset := t.In(zone).Zone()
	seconds := int(t.Unix()) + offset
	day := seconds / 86400
	return wall{day: day, minute: (seconds - day*86400) / 60}
}

func (w wall) weekday() int { return (w.day + 4) % 7 } // 1970-01-01 was a Thursday

// date is the civil date of a day, counted from March so that leap days come last.
func (w wall) date() string {
	z := w.day + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month, year := mp+3, yoe+era*400
	if mp >= 10 {
		month, year = mp-9, year+1
	}
	return fmt.Sprintf("%04d-%02d-%02d", year, month, doy-(153*mp+2)/5+1)
}

// stretch is hours from a minute to another, which may lie in the next day.
type stretch struct{ from, to int }

// opened says what begins on a day.
type opened func(w wall) []stretch

// open steps through what began on this day and the one before.
func open(begun opened, w wall) bool {
	for back := range 2 {
		for _, s := range begun(wall{day: w.day - back}) {
			if at := w.minute + back*1440; at >= s.from && at < s.to {
				return true
			}
		}
	}
	return false
}

type timeCase struct {
	condition string
	holds     func(w wall) bool
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60%24, minute%60) }

func windowCase(zone string, from, to int, days [7]bool) timeCase {
	var names []string
	for d, on := range days {
		if on {
			names = append(names, fmt.Sprintf("%q", strings.ToUpper(time.Weekday(d).String()[:3])))
		}
	}
	if to <= from {
		to += 1440
	}
	begun := func(w wall) []stretch {
		if days[w.weekday()] {
			return []stretch{{from, to}}
		}
		return nil
	}
	return timeCase{
		condition: fmt.Sprintf(`{"time":{"from":%q,"to":%q,"zone":%q,"days":[%s]}}`, clock(from), clock(to), zone, strings.Join(names, ",")),
		holds:     func(w wall) bool { return open(begun, w) },
	}
}

// testCalendar is shut at weekends, on New Year's day and, in one year, on a day when
// clocks change in many zones; on another such day it has hours of its own.
func testCalendar(zone string) (*policy.Calendar, timeCase) {
	c := &policy.Calendar{
		Zone:  zone,
		Hours: []policy.Hours{{Days: []string{"MON", "TUE", "WED", "THU", "FRI"}, From: "08:30", To: "17:00"}, {Days: []string{"SAT"}, From: "22:00", To: "03:00"}},
		Holidays: []policy.Holiday{
			{Date: "01-01"}, {Date: "2026-03-28"}, {Date: "10-25", From: "01:30", To: "02:30"}, {Date: "10-25", From: "23:00", To: "01:00"}, {Date: "2027-10-25"},
		},
	}
	begun := func(w wall) []stretch {
		date := w.date()
		switch {
		case date == "2026-03-28" || date == "2027-10-25" || strings.HasSuffix(date, "-01-01"):
			return nil
		case strings.HasSuffix(date, "-10-25"):
			return []stretch{{90, 150}, {1380, 1500}}
		case w.weekday() == 6:
			return []stretch{{1320, 1620}}
		case w.weekday() != 0:
			return []stretch{{510, 1020}}
		}
		return nil
	}
	return c, timeCase{condition: `{"time":{"calendar":"office"}}`, holds: func(w wall) bool { return open(begun, w) }}
}

func timeCases(zone string, seed uint64) (*policy.Calendar, []timeCase) {
	all := [7]bool{true, true, true, true, true, true, true}
	calendar, office := testCalendar(zone)
	cases := []timeCase{
		office,
		windowCase(zone, 90, 150, all), windowCase(zone, 135, 165, all), windowCase(zone, 23*60+30, 30, all),
		windowCase(zone, 22*60, 6*60, [7]bool{5: true, 6: true}),
		{
			condition: fmt.Sprintf(`{"date":{"from":"2026-03-29","to":"2026-10-25","zone":%q,"days":["SUN","WED"]}}`, zone),
			holds: func(w wall) bool {
				return w.date() >= "2026-03-29" && w.date() <= "2026-10-25" && (w.weekday() == 0 || w.weekday() == 3)
			},
		},
	}
	r := rand.New(rand.NewPCG(seed, 7))
	for range 3 {
		days := [7]bool{}
		days[r.IntN(7)] = true
		for d := range days {
			days[d] = days[d] || r.IntN(2) == 0
		}
		from := r.IntN(1440)
		cases = append(cases, windowCase(zone, from, (from+1+r.IntN(1438))%1440, days))
	}
	return calendar, cases
}

// moments are the minutes to look at: around every change of the clock in two years,
// and a day that depends on the zone.
func moments(zone *time.Location, seed uint64) (spans [][2]time.Time) {
	end := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); ; {
		_, next := at.In(zone).ZoneBounds()
		if next.IsZero() || next.After(end) {
			break
		}
		spans = append(spans, [2]time.Time{next.Add(-4 * time.Hour), next.Add(26 * time.Hour)})
		at = next
	}
	day := time.Date(2026, 1, 1+int(seed*37%720), 0, 0, 0, 0, time.UTC)
	return append(spans, [2]time.Time{day, day.Add(24 * time.Hour)})
}

// TestTimesInEveryZone compares windows, calendars and dates with an oracle that
// steps from minute to minute, in every zone of the world around every change of its
// clock in 2026 and 2027.
func TestTimesInEveryZone(t *testing.T) {
	names := zones(t)
	if len(names) < 590 {
		t.Fatalf("%d zones", len(names))
	}
	minutes, changes := 0, 0
	for i, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		calendar, cases := timeCases(name, uint64(i))
		var policies []*policy.Policy
		for j, c := range cases {
			policies = append(policies, parse(t, fmt.Sprintf(`{"name":"p%d","rank":%d,"when":%s,"effect":{"deny":{"targets":["x"]}}}`, j, j, c.condition)))
		}
		set := policy.Compile(policies, 1, policy.WithEnvironment(&policy.Environment{Calendars: map[string]*policy.Calendar{"office": calendar}}))
		in, facts := set.NewInput(), &policy.Facts{}
		spans := moments(zone, uint64(i))
		changes += len(spans) - 1
		for _, span := range spans {
			for at := span[0]; at.Before(span[1]); at = at.Add(time.Minute) {
				minutes++
				facts.Now = at
				in.Load(facts)
				w, next := wallOf(at, zone), set.Next(in)
				for j, c := range cases {
					got := next != nil && next.Position() == j
					if got {
						next = set.Next(in)
					}
					if want := c.holds(w); got != want {
						t.Fatalf("%s at %s (%s): %v, want %v", c.condition, at, at.In(zone), got, want)
					}
				}
			}
		}
	}
	t.Logf("%d zones, %d changes of the clock, %d minutes", len(names), changes, minutes)
}

// TestCalendarFaults: all at once, with their paths.
func TestCalendarFaults(t *testing.T) {
	c := &policy.Calendar{
		Zone:     "Mars/Olympus",
		Hours:    []policy.Hours{{Days: []string{"MON", "FOO"}, From: "9:00", To: "25:00"}, {From: "09:00", To: "09:00"}},
		Holidays: []policy.Holiday{{Date: "2026-02-30"}, {Date: "12-25"}, {Date: "02-29"}, {Date: "12-24", From: "9"}},
	}
	var paths []string
	for _, p := range policy.ProblemsOf(c.Validate()) {
		paths = append(paths, p.Path)
	}
	want := "zone hours[0].from hours[0].to hours[0].days[1] hours[1].to holidays[0].date holidays[3].from"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("faults at %s, want %s", got, want)
	}
	if err := (&policy.Calendar{}).Validate(); err != nil {
		t.Error(err)
	}
}

package congestion

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// Size of the figure and of the plane inside it, in pixels.
const (
	figureWidth, figureHeight = 860, 590
	planeLeft, planeRight     = 70, 830
	planeTop, planeBottom     = 86, 456
)

// colours of the signals and of the references; both are told apart by shape too.
func colourOf(s Signal) string {
	if s == Expected {
		return "#0b6e4f"
	}
	return "#c26a00"
}

const referenceColour = "#7a1f5c"

// SVG writes the frontier as a figure: mean wait on a logarithmic axis against the
// share resolved by the first group. It says in itself that it is simulated.
func (f *Frontier) SVG(w io.Writer) error {
	d := newDrawing(f)
	d.frame(f)
	for _, signal := range []Signal{Reported, Expected} {
		d.curve(f, signal)
	}
	for i := range f.References {
		p := &f.References[i]
		x, y := d.at(p)
		d.add(`<rect x="%.1f" y="%.1f" width="10" height="10" fill="%s"/>`, x-5, y-5, referenceColour)
		d.text(x-9, y-9, "start", referenceColour, strings.ReplaceAll(string(p.Routing), "_", " "))
	}
	d.legend(f)
	d.add("</svg>")
	_, err := io.WriteString(w, d.out.String())
	if err != nil {
		return fmt.Errorf("write the figure: %w", err)
	}
	return nil
}

type drawing struct {
	out          strings.Builder
	x0, x1       float64 // logarithms of minutes
	y0, y1, step float64 // shares
}

// leastWait keeps the logarithm finite where nobody waits.
const leastWait = 0.01

func newDrawing(f *Frontier) *drawing {
	d := &drawing{x0: math.Inf(1), x1: math.Inf(-1), y0: 1, y1: 0, step: 0.02}
	for _, p := range slices.Concat(f.References, f.Prices) {
		x := math.Log10(max(p.MeanWait, leastWait))
		d.x0, d.x1 = min(d.x0, math.Floor(x)), max(d.x1, math.Ceil(x))
		d.y0, d.y1 = min(d.y0, p.Resolved), max(d.y1, p.Resolved)
	}
	if d.x1 == d.x0 {
		d.x1++
	}
	if d.y1-d.y0 > 0.25 {
		d.step = 0.1
	}
	d.y0, d.y1 = math.Floor(d.y0/d.step)*d.step, math.Ceil(d.y1/d.step+0.2)*d.step
	return d
}

func (d *drawing) at(p *Point) (x, y float64) {
	return d.x(p.MeanWait), d.y(p.Resolved)
}

func (d *drawing) x(minutes float64) float64 {
	return planeLeft + (math.Log10(max(minutes, leastWait))-d.x0)/(d.x1-d.x0)*(planeRight-planeLeft)
}

func (d *drawing) y(share float64) float64 {
	return planeBottom - (share-d.y0)/(d.y1-d.y0)*(planeBottom-planeTop)
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.out, format+"\n", args...) }

func (d *drawing) text(x, y float64, anchor, colour, s string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, colour, html.EscapeString(s))
}

// frame draws the title, the axes and their scales.
func (d *drawing) frame(f *Frontier) {
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`,
		figureWidth, figureHeight, figureWidth, figureHeight)
	const title = "SIMULATED: waiting against resolution, by routing rule"
	d.add(`<title>%s</title><rect width="%d" height="%d" fill="#ffffff"/>`, title, figureWidth, figureHeight)
	d.add(`<text x="%d" y="26" font-size="17" font-weight="bold" fill="#222222">%s</text>`, planeLeft, title)
	d.text(planeLeft, 46, "start", "#444444", fmt.Sprintf("%d groups, %d agents, %.0f arrivals an hour, mean of %d runs of %d days.",
		f.Groups, f.Agents, f.PerHour, f.Runs, f.Days))
	d.text(planeLeft, 63, "start", "#444444", f.Note)
	for share := d.y0; share <= d.y1+d.step/2; share += d.step {
		y := d.y(share)
		d.add(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`, planeLeft, y, planeRight, y)
		d.text(planeLeft-8, y+4, "end", "#444444", fmt.Sprintf("%.0f %%", 100*share))
	}
	for power := d.x0; power <= d.x1; power++ {
		minutes := math.Pow(10, power)
		x := d.x(minutes)
		d.add(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#dddddd"/>`, x, planeTop, x, planeBottom)
		d.text(x, planeBottom+18, "middle", "#444444", fmt.Sprintf("%g", minutes))
	}
	d.text((planeLeft+planeRight)/2, planeBottom+38, "middle", "#222222", "mean wait in minutes, all queues of a conversation together (logarithmic)")
	d.add(`<text transform="translate(22 %d) rotate(-90)" text-anchor="middle" fill="#222222">resolved by the first group</text>`, (planeTop+planeBottom)/2)
}

// curve joins the prices of one signal, from low to high. Prices are written where
// there is room, on the outer side of each curve.
func (d *drawing) curve(f *Frontier, signal Signal) {
	const room = 22 // pixels between two prices
	colour, anchor, dx, dy := colourOf(signal), "start", 7.0, 14.0
	if signal == Expected {
		anchor, dx, dy = "end", -6, -6
	}
	var line, dots strings.Builder
	lastX, lastY := math.Inf(-1), math.Inf(-1)
	for i := range f.Prices {
		p := &f.Prices[i]
		if p.Signal != signal {
			continue
		}
		x, y := d.at(p)
		fmt.Fprintf(&line, "%.1f,%.1f ", x, y)
		fmt.Fprintf(&dots, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x, y, colour)
		if math.Hypot(x-lastX, y-lastY) >= room {
			fmt.Fprintf(&dots, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" text-anchor=\"%s\" fill=\"%s\">%g</text>\n", x+dx, y+dy, anchor, colour, p.Price)
			lastX, lastY = x, y
		}
	}
	if line.Len() == 0 {
		return
	}
	d.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.TrimSpace(line.String()), colour)
	d.out.WriteString(dots.String())
}

func (d *drawing) legend(f *Frontier) {
	y := float64(planeBottom + 62)
	d.add(`<circle cx="%d" cy="%.1f" r="4" fill="%s"/>`, planeLeft+5, y-4, colourOf(Expected))
	d.text(planeLeft+16, y, "start", "#222222", "score minus price x wait, expected: read off the queue at the moment")
	d.add(`<circle cx="%d" cy="%.1f" r="4" fill="%s"/>`, planeLeft+5, y+14, colourOf(Reported))
	d.text(planeLeft+16, y+18, "start", "#222222", "score minus price x wait, reported: the mean of those served in the last hour")
	d.add(`<rect x="%d" y="%.1f" width="10" height="10" fill="%s"/>`, planeLeft, y+27, referenceColour)
	d.text(planeLeft+16, y+36, "start", "#222222", "references")
	d.text(planeLeft, y+58, "start", "#444444", "Numbers at the dots: price, reward per minute. "+upper(f.Notice)+".")
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

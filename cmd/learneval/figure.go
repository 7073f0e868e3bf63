package main

import (
	"fmt"
	"html"
	"strings"
)

// plot is a small figure: lines, points and whiskers over two axes.
type plot struct {
	out strings.Builder
	extent
	left, right, top, low float64
}

const (
	figureWidth, figureHeight = 720, 400
	gridSteps                 = 5
)

// colours are told apart by people who see red and green alike.
func colour(i int) string {
	all := [...]string{"#0b6e4f", "#c26a00", "#2b4c9b", "#7a1f5c", "#5d6b1e", "#8c2d19", "#3a3a3a"}
	return all[i%len(all)]
}

// extent is what the axes show.
type extent struct{ x0, x1, y0, y1 float64 }

// newPlot begins a figure; xs and ys name the axes.
func newPlot(title, xs, ys string, e extent) *plot {
	p := &plot{extent: e, left: 70, right: figureWidth - 190, top: 50, low: figureHeight - 60}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" role="img">`, figureWidth, figureHeight)
	p.add(`<title>%s</title><rect width="%d" height="%d" fill="#ffffff"/>`, html.EscapeString(title), figureWidth, figureHeight)
	p.text(p.left, 26, "start", "#111111", title)
	for i := range gridSteps + 1 {
		v := e.y0 + (e.y1-e.y0)*float64(i)/gridSteps
		p.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#dddddd"/>`, p.left, p.right, p.y(v), p.y(v))
		p.text(p.left-8, p.y(v)+4, "end", "#333333", fmt.Sprintf("%.4g", v))
	}
	p.text((p.left+p.right)/2, figureHeight-16, "middle", "#333333", xs)
	p.add(`<text transform="translate(18,%.1f) rotate(-90)" text-anchor="middle" fill="#333333">%s</text>`, (p.top+p.low)/2, html.EscapeString(ys))
	return p
}

func (p *plot) add(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

func (p *plot) x(v float64) float64 { return p.left + (v-p.x0)/(p.x1-p.x0)*(p.right-p.left) }
func (p *plot) y(v float64) float64 { return p.low - (v-p.y0)/(p.y1-p.y0)*(p.low-p.top) }

func (p *plot) text(x, y float64, anchor, fill, s string) {
	p.add(`<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, fill, html.EscapeString(s))
}

// tick labels the x axis at v.
func (p *plot) tick(v float64, s string) { p.text(p.x(v), p.low+18, "middle", "#333333", s) }

// line joins points; dashed for references.
func (p *plot) line(xs, ys []float64, fill string, dashed bool) {
	var b strings.Builder
	for i := range xs {
		fmt.Fprintf(&b, "%.1f,%.1f ", p.x(xs[i]), p.y(ys[i]))
	}
	style := ""
	if dashed {
		style = ` stroke-dasharray="5 4"`
	}
	p.add(`<polyline fill="none" stroke="%s" stroke-width="2"%s points="%s"/>`, fill, style, strings.TrimSpace(b.String()))
}

func (p *plot) dot(x, y float64, fill string) {
	p.add(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, p.x(x), p.y(y), fill)
}

// whisker draws an interval at x.
func (p *plot) whisker(x, lo, hi float64, fill string) {
	p.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`, p.x(x), p.x(x), p.y(lo), p.y(hi), fill)
	for _, v := range []float64{lo, hi} {
		p.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`, p.x(x)-5, p.x(x)+5, p.y(v), p.y(v), fill)
	}
}

// note adds a line to the legend.
func (p *plot) note(i int, fill, s string) {
	y := p.top + 18*float64(i)
	p.add(`<rect x="%.1f" y="%.1f" width="11" height="11" fill="%s"/>`, p.right+14, y, fill)
	p.text(p.right+30, y+10, "start", "#333333", s)
}

func (p *plot) svg() string { return p.out.String() + "</svg>\n" }

// regretFigure has each set's share wrong at 1 to 100 % of its rows, mean over seeds.
func (r *results) regretFigure() string {
	percents := []string{"1 %", "2 %", "5 %", "10 %", "20 %", "50 %", "100 %"}
	p := newPlot("Share wrong so far, each row decided before it is learned", "rows played", "share wrong", extent{0, float64(len(percents) - 1), 0, 1})
	for i, s := range percents {
		p.tick(float64(i), s)
	}
	for i := range r.sets {
		s := &r.sets[i]
		var xs, ys []float64
		for k := range s.curve() {
			xs, ys = append(xs, float64(k)), append(ys, s.curve()[k])
		}
		p.line(xs, ys, colour(i), false)
		p.note(i, colour(i), s.name)
	}
	return p.svg()
}

// calibrationFigure compares what the last models of the periodic refits foretold with
// what came.
func (r *results) calibrationFigure() string {
	p := newPlot("Foretold and real rewards on held-out rows, last model of each run", "mean reward foretold", "mean reward that came", extent{0, 1, 0, 1})
	p.line([]float64{0, 1}, []float64{0, 1}, "#999999", true)
	for i := range gridSteps + 1 {
		v := float64(i) / gridSteps
		p.tick(v, fmt.Sprintf("%.1f", v))
	}
	n := 0
	for i := range r.sets {
		s := &r.sets[i]
		if s.Follow.Last.Calibration == nil {
			continue
		}
		c := s.Follow.Last.Calibration
		var xs, ys []float64
		for _, b := range c.Bins {
			xs, ys = append(xs, b.Predicted), append(ys, b.Reward)
			p.dot(b.Predicted, b.Reward, colour(n))
		}
		p.line(xs, ys, colour(n), false)
		p.note(n, colour(n), fmt.Sprintf("%s, ECE %.3f", s.name, c.Error))
		n++
	}
	return p.svg()
}

// intervalFigure has the trusted estimate of each Open Bandit direction with its
// interval beside what the other log really paid.
func (r *results) intervalFigure() string {
	p := newPlot("Value of the other policy: estimate, 95 % interval, what its own log paid", "", "clicks per decision", extent{-0.5, 3.5, 0, 0.03})
	for i := range r.directions {
		d := &r.directions[i]
		x, e := float64(i), d.Whole.Estimates[d.Whole.Default]
		lo, hi := max(e.Lower, 0), min(e.Upper, p.y1)
		p.whisker(x-0.1, lo, hi, colour(2))
		if e.Withheld {
			p.text(p.x(x-0.1), p.y(hi)-8, "middle", colour(2), "no value")
		} else {
			p.dot(x-0.1, e.Value, colour(2))
		}
		p.dot(x+0.1, d.truth, colour(1))
		p.tick(x, fmt.Sprintf("%s to %s", d.log, d.policy))
		p.text(p.x(x), p.low+34, "middle", "#333333", fmt.Sprintf("%s, ESS %.0f", d.campaign, d.Whole.EffectiveSampleSize))
	}
	p.note(0, colour(2), "estimate")
	p.note(1, colour(1), "really paid")
	return p.svg()
}

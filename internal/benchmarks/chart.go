package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A chart draws the main figure of a group as SVG.
type chart func(g group, results []result) string

const (
	chartWidth = 760
	nameWidth  = 240 // of the entrants' names, left of the bars
	rowHeight  = 22
)

// style gives light and dark colours to the classes used below.
// The background is the chart's own, so that it can be read on a page of the other kind.
const style = `<style>
svg{font:13px system-ui,sans-serif}.page{fill:#fff}text{fill:#24292f}.quiet{fill:#57606a}.axis{stroke:#d0d7de;stroke-width:1;fill:none}
.peer{fill:#b6bec7}.own{fill:#0b7285}.line{fill:none;stroke-width:2}.title{font-weight:600}
@media(prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#e6edf3}.quiet{fill:#9198a1}.axis{stroke:#3d444d}.peer{fill:#4b545f}.own{fill:#3bc9db}}
</style>`

// canvas is an SVG as it grows.
type canvas struct{ strings.Builder }

func (c *canvas) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(text))
}

// svg returns what was drawn, on a page of a height.
func (c *canvas) svg(title string, height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" role="img" aria-label="%s">`+"\n%s\n"+
		`<rect class="page" width="100%%" height="100%%" rx="6"/>`+"\n%s</svg>\n",
		chartWidth, height, chartWidth, height, html.EscapeString(title), style, c.String())
}

// own says whether an entrant is headpond.
func own(name string) bool { return strings.HasPrefix(name, "headpond") }

// bars draws a panel for each contest, with a bar for each entrant.
func bars(g group, results []result) string {
	var c canvas
	y := 28.0
	c.text(16, y, "start", "title", g.title)
	for _, held := range results {
		y += 28
		c.text(16, y, "start", "quiet", held.name)
		most := 0.0
		for i := range held.entrants {
			most = max(most, held.value(i, g.columns[0]))
		}
		for i, e := range held.entrants {
			value := held.value(i, g.columns[0])
			class := "peer"
			if own(e.name) {
				class = "own"
			}
			length := value / most * (chartWidth - nameWidth - 120)
			c.text(nameWidth-8, y+20, "end", "", e.name)
			fmt.Fprintf(&c, `<rect class="%s" x="%d" y="%.1f" width="%.1f" height="%d" rx="2"/>`+"\n", class, nameWidth, y+7, length, rowHeight-5)
			c.text(nameWidth+length+8, y+20, "start", "", g.columns[0].show(value))
			y += rowHeight
		}
	}
	return c.svg(g.title, y+20)
}

// lines returns a chart with a line for each entrant over the contests,
// which stand at equal distances; the figures on a logarithmic axis.
func lines(across, up string) chart {
	return func(g group, results []result) string {
		type line struct {
			name  string
			hue   string
			x, y  []float64 // the contest's place; the logarithm of the figure
			label float64   // where its name stands, in the chart's own coordinates
		}
		var all []*line
		low, high := math.Inf(1), math.Inf(-1)
		for x, held := range results {
			for i, e := range held.entrants {
				k := slices.IndexFunc(all, func(l *line) bool { return l.name == e.name })
				if k < 0 {
					k, all = len(all), append(all, &line{name: e.name})
				}
				y := math.Log10(held.value(i, g.columns[0]))
				all[k].x, all[k].y = append(all[k].x, float64(x)), append(all[k].y, y)
				low, high = min(low, y), max(high, y)
			}
		}
		all = slices.DeleteFunc(all, func(l *line) bool { return len(l.x) < 2 })

		const left, right, top, bottom = 84.0, 520.0, 64.0, 360.0
		low, high = math.Floor(low), math.Ceil(high)
		toX := func(x float64) float64 { return left + x/float64(len(results)-1)*(right-left) }
		toY := func(y float64) float64 { return bottom - (y-low)/(high-low)*(bottom-top) }

		var c canvas
		c.text(16, 28, "start", "title", g.title)
		c.text(16, 48, "start", "quiet", up)
		c.text((left+right)/2, bottom+44, "middle", "quiet", across)
		for power := low; power <= high; power++ {
			fmt.Fprintf(&c, `<path class="axis" d="M%.1f %.1fH%.1f"/>`+"\n", left, toY(power), right)
			c.text(left-8, toY(power)+4, "end", "quiet", g.columns[0].show(math.Pow(10, power)))
		}
		for x, held := range results {
			c.text(toX(float64(x)), bottom+22, "middle", "quiet", held.name)
		}
		// Peers keep apart by their shade, headpond by its colour; names stand at the lines' ends.
		for i, l := range all {
			width := 2.0
			l.hue = fmt.Sprintf("hsl(%d 45%% 55%%)", 20+i*67%320)
			if own(l.name) {
				width = 3.5
				l.hue = fmt.Sprintf("hsl(%d 85%% 42%%)", 185+i*9)
			}
			var points []string
			for k := range l.x {
				points = append(points, fmt.Sprintf("%.1f,%.1f", toX(l.x[k]), toY(l.y[k])))
			}
			fmt.Fprintf(&c, `<polyline class="line" style="stroke:%s;stroke-width:%g" points="%s"/>`+"\n", l.hue, width, strings.Join(points, " "))
			l.label = toY(l.y[len(l.y)-1]) + 4
		}
		slices.SortFunc(all, func(a, b *line) int { return int(a.label - b.label) })
		next := 0.0
		for _, l := range all {
			y := max(l.label, next)
			fmt.Fprintf(&c, `<circle style="fill:%s" cx="%.1f" cy="%.1f" r="4"/>`+"\n", l.hue, right+16, y-4.5)
			c.text(right+26, y, "start", "", l.name)
			next = y + 17
		}
		return c.svg(g.title, max(bottom+60, next))
	}
}

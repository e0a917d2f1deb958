package sqlite

import "github.com/headpond/headpond/pool"

// This file has the prefix and the two kinds of the figures of this package.

const figurePrefix = "headpond.sqlite."

// gauge is a figure that goes up and down.
func gauge(name, unit, help string, value float64) pool.Figure {
	return pool.Figure{Name: figurePrefix + name, Unit: unit, Help: help, Value: value}
}

// counter is a figure that only grows.
func counter(name, unit, help string, value float64) pool.Figure {
	return pool.Figure{Name: figurePrefix + name, Unit: unit, Help: help, Kind: pool.Counter, Value: value}
}

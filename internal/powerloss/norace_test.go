//go:build !race

package powerloss

const few = 100

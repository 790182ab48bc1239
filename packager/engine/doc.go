// Package engine is what buildpackages and builders are put together with:
// it takes the modules of several sources together, and brings planned layers
// into being, either by taking them from a source or by building them.
package engine

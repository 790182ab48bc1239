// Package flatten holds the core of laminate: the identity of buildpacks and extensions, orders and
// their expansion, the plan that assigns modules to image layers, and the labels that describe the
// result to platforms. Everything in it is a value or a pure function; it accesses neither files
// nor the network. Package flatten/layer reads and writes the layers themselves.
package flatten

// Package flatten holds what laminate is about: the identity of buildpacks and
// extensions, orders and their expansion, the plan that says which of them
// share which image layer, and the labels that tell platforms about it.
// Everything in it is a value or a pure function; nothing opens a file or a
// network. What layers are made of is in flatten/layer.
package flatten

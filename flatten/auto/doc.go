// Package auto plans which buildpacks share a layer so that, within a budget of layers, users who
// pull every release pull the fewest bytes.
//
// A layer is pulled again when anything in it changes. So each layer costs its size times the
// chance that any of its refs changes, and refs that are released together should share a layer,
// however often they are released. The chance is estimated from four properties of the previous
// image and its expansion:
//
//   - A ref changes only when all of its owners do: refs of one owner set, a
//     cell, have that in common.
//   - When owners change, either most of what they bring changes (a sweep), or
//     little of it, here and there (strays).
//   - A ref that was there before its owner changed is less likely to be swept
//     the next time. This shows in the order of the layers: what changed least recently
//     lies lowest.
//   - An id with several versions is moving from one to the other, composite by composite, and
//     depends less on its cell.
//
// A layer with changed refs is pulled anyway, so its refs can be regrouped at no cost; all other
// layers are kept, unless regrouping one of them pays off within a few releases. docs/layer-plan.md
// has the figures, and describes how the parameters were chosen.
package auto

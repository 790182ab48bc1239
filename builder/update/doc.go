// Package update finds newer versions of what a builder.toml or a package.toml refers to, and puts
// them into the file.
//
// [Read] reads the file and lists its references: buildpacks, extensions, dependencies, build and
// run images with their mirrors, and the lifecycle. [Files.Plan] asks the registries, and decides;
// a [Plan] is a value that says for each reference what it becomes, or why it stays. [Plan.Outputs]
// applies it to the bytes of the files: only values are replaced, in place.
//
// # Versions
//
// A tag is a version if it is a strict semantic version: three numbers, with an optional v before
// them, and an optional suffix after a dash. Parts of the suffix that are words such as alpha, beta
// or rc, with numbers, or are just numbers, make a pre-release; all other parts make a variant, such
// as jammy. A reference moves to the newest version of the same variant, written with or without v
// as before; to a pre-release only if it is at one; and never to an older version. All other tags
// are moving tags, which stay.
//
// # Constraints
//
// A comment "# laminate: CONSTRAINT" limits a reference: "pin", or a range such as ~1.2, ^1 or
// ">=1.2 <2" (see [semver.NewConstraint]). The comment is on the line of the value, in the lines of
// comments directly above it, or likewise at the header of its table, [[buildpacks]] for one. The
// nearest one counts. A second "#" ends the constraint.
//
// # Digests
//
// A reference with a digest keeps having one: that of the new tag, as the registry has it. If the
// reference has no tag, the first word of the comment on its line is the tag, and is updated with
// it. Without it, the version of a buildpackage is that of its label. Moving tags with a digest get
// the digest that they have now.
//
// # Orders
//
// What an order names with a version of the old buildpackage moves to the version in the new one:
// in the orders and system buildpacks of a builder.toml, and in the orders of a composite's
// buildpack.toml, next to its package.toml.
package update

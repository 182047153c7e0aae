// Package config holds every setting of cereus in one typed tree: its key, its
// default, its unit, what it does and which values are allowed.
//
// Load fills the tree from code, environment, a file and the defaults, in that
// order of precedence. The keys are those of Pitaya (wire.md section 14) where
// the two agree, under the root "cereus"; with the root "pitaya" a Pitaya file
// loads unchanged. docs/configuration.md is rendered from this package.
package config

//go:generate go run ./internal/document ../docs/configuration.md

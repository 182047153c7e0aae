// Package wirevectors holds the recorded bytes of real Pitaya processes
// (wire.md section 20) for the tests of every package that speaks the wire.
package wirevectors

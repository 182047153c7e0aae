// Package floors holds no code, only tests that read the source of the whole
// module and keep the rules of the house: which package may import which, and
// what no package may contain.
//
// The floors are in house_test.go, one rule per file is in rule_..._test.go,
// and every exception stands with its reason in exceptions_test.go. Each rule
// is shown a bad example in testdata, where comments of the form
// "want: text" say what it has to find.
package floors

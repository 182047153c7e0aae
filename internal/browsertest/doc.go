// Package browsertest drives a headless Chromium in end-to-end tests: it starts
// one with an empty profile, opens tabs, fills, clicks and waits for elements
// by their data-testid, and takes screenshots. Every step is bounded by
// [StepTimeout] and fails the test with what the page showed instead; nothing
// of the browser outlives the test. Where no Chromium is installed a test is
// skipped, unless the environment says CEREUSTEST_BROWSER=required.
package browsertest

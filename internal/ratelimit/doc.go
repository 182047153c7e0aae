// Package ratelimit bounds how often something may happen, for each of many
// keys, in memory that those keys cannot make grow: a key that was quiet for
// long enough to have all its tokens again is forgotten.
package ratelimit

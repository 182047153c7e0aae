// Package clusterpb holds the protobuf messages that servers exchange
// (wire.md section 8), generated from cluster.proto.
//
// The protobuf package and the file path they register under are our own, so
// one binary can link this package and Pitaya's.
package clusterpb

//go:generate protoc --proto_path=../.. --go_out=../.. --go_opt=paths=source_relative cluster/clusterpb/cluster.proto

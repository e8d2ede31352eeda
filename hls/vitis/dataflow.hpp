// Dataflow under Vitis HLS: the stages of a region are plain calls below `#pragma HLS dataflow`.
#pragma once

#define DATAFLOW_BEGIN() _Pragma("HLS dataflow")
#define DATAFLOW_STAGE(function, ...) function(__VA_ARGS__)
#define DATAFLOW_END()

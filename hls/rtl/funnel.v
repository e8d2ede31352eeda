// BYTES bytes from byte `at` of two chunks on: chunk_at of hls/vitis/shift.hpp behind the memory's registers.
`default_nettype none
module funnel #(
    parameter integer BYTES = 16  // a power of two
) (
    input  wire [      8*BYTES-1:0] first,
    input  wire [      8*BYTES-1:0] second,
    input  wire [$clog2(BYTES)-1:0] at,
    output wire [      8*BYTES-1:0] chunk
);
  localparam integer STAGES = $clog2(BYTES);
  // The widest shift comes first, so that each stage leaves fewer bytes to the next.
  reg  [16*BYTES-1:0] wide;
  integer s;
  always @* begin
    wide = {second, first};
    for (s = STAGES - 1; s >= 0; s = s - 1) if (at[s]) wide = wide >> (8 << s);
  end
  assign chunk = wide[8*BYTES-1:0];
  wire unused = |wide[16*BYTES-1:8*BYTES];
endmodule
`default_nettype wire

// Fold control of a matrix-vector unit: which weight word meets which vector word in this cycle.
//
// First the weights of the whole matrix arrive, TILES * WORDS words of PE * SIMD weights, and stay on chip. Then every
// vector arrives as WORDS words of SIMD activations: tile 0 takes them from the stream and keeps them, the other tiles
// read them again. invariant: one word is issued in each cycle with `step`, unless tile 0 waits for its input; so the
// cycles are TILES * WORDS for the weights and TILES * WORDS for each vector.
`default_nettype none
module fold_control #(
    parameter integer WEIGHT_WIDTH = 8,  // bits of one weight word
    parameter integer INPUT_WIDTH  = 8,  // bits of one vector word
    parameter integer WORDS        = 2,
    parameter integer TILES        = 2
) (
    input  wire                    clk,
    input  wire                    reset,
    input  wire                    step,           // the stages behind can move on
    input  wire [WEIGHT_WIDTH-1:0] weight_data,
    input  wire                    weight_valid,
    output wire                    weight_ready,
    input  wire [INPUT_WIDTH-1:0]  input_data,
    input  wire                    input_valid,
    output wire                    input_ready,
    output reg                     issued,         // the four below belong to a product of this cycle
    output reg  [WEIGHT_WIDTH-1:0] weights,
    output reg  [INPUT_WIDTH-1:0]  inputs,
    output reg                     first,          // of the words of a tile: the sums start anew
    output reg                     last            // the sums are complete
);
  // An index of a single element has a bit too.
  localparam integer WORD_BITS = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam integer TILE_BITS = TILES > 1 ? $clog2(TILES) : 1;
  localparam integer DEPTH = TILES * WORDS;
  localparam integer ADDRESS_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam [WORD_BITS-1:0] LAST_WORD = WORDS[WORD_BITS-1:0] - 1'b1;
  localparam [TILE_BITS-1:0] LAST_TILE = TILES[TILE_BITS-1:0] - 1'b1;
  localparam [ADDRESS_BITS-1:0] LAST_ADDRESS = DEPTH[ADDRESS_BITS-1:0] - 1'b1;

  reg [WEIGHT_WIDTH-1:0] kept_weights[0:DEPTH-1];
  reg [INPUT_WIDTH-1:0] kept_inputs[0:WORDS-1];
  reg loaded;
  reg [ADDRESS_BITS-1:0] address;  // of the weight word that is written, then of the one that is read
  reg [WORD_BITS-1:0] word;
  reg [TILE_BITS-1:0] tile;

  wire from_stream = tile == 0;
  wire issue = step && loaded && (input_valid || !from_stream);
  wire accept_weights = weight_valid && weight_ready;
  assign weight_ready = !loaded;
  assign input_ready  = step && loaded && from_stream;

  always @(posedge clk) begin
    if (accept_weights) kept_weights[address] <= weight_data;
    if (issue && from_stream) kept_inputs[word] <= input_data;
    if (step) begin
      weights <= kept_weights[address];
      inputs  <= from_stream ? input_data : kept_inputs[word];
      first   <= word == 0;
      last    <= word == LAST_WORD;
    end
  end

  always @(posedge clk) begin
    if (reset) begin
      loaded  <= 1'b0;
      issued  <= 1'b0;
      address <= 0;
      word    <= 0;
      tile    <= 0;
    end else begin
      if (step) issued <= issue;
      if (accept_weights || issue) address <= address == LAST_ADDRESS ? 0 : address + 1'b1;
      if (accept_weights && address == LAST_ADDRESS) loaded <= 1'b1;
      if (issue) begin
        word <= word == LAST_WORD ? 0 : word + 1'b1;
        if (word == LAST_WORD) tile <= tile == LAST_TILE ? 0 : tile + 1'b1;
      end
    end
  end
endmodule
`default_nettype wire

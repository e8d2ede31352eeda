// `dovetail infer`: predictions of a trained model, in float32 on GPU ranks or in low precision
// on FPGA ranks.
#include <algorithm>
#include <filesystem>
#include <span>

#include "app/cache_option.hpp"
#include "app/card_engines.hpp"
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/job.hpp"
#include "app/placement_options.hpp"
#include "model/folded.hpp"
#include "model/score.hpp"
#include "model/zoo.hpp"
#include "plan/fpga_network.hpp"
#include "plan/plan.hpp"
#include "quant/weight_pack.hpp"
#include "shards/hdf5.hpp"
#include "shards/shard_reader.hpp"
#include "shards/share.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/file_lock.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::app {
namespace {

constexpr std::size_t samples_at_once = 256;
constexpr int logits_tag = 2;

struct InferOptions {
  std::filesystem::path checkpoint, data, out;
  std::string split = "test";
  std::string format = "float32";
  quant::Calibration calibration;
  PlacementOptions placement;
  CacheOption cache;
  StallOptions stalls;

  /// Where the ranks leave their signs of life.
  std::filesystem::path signs() const {
    return out.parent_path() / fmt::format(".{}.ranks", out.filename().string());
  }
};

bool parse(const Arguments& arguments, InferOptions& options) {
  std::string checkpoint, data, out, calibration = "max";
  CommandLine line(
      "usage: mpirun -n N dovetail infer --checkpoint F --data DIR --format FORMAT --out F "
      "[options]",
      "Writes the predicted labels and the logits of every sample; the ranks share the data set.");
  line.add("checkpoint", checkpoint, "a checkpoint.h5");
  line.add("data", data, "the data set's folder");
  line.add("split", options.split, "train or test");
  line.add(
      "format", options.format,
      "float32 (on GPU ranks), or on FPGA ranks int8, int4, int2 or wXaY with weights X = 1, t, 2, "
      "4, 8 and activations Y = 1, 2, 4, 8, fixed2 ... fixed16, bfp2 ... bfp8, int3 ... int16");
  line.add("calibration", calibration,
           "how low precision chooses the activations' ranges: max, mse, percentile (99.9) or "
           "percentile:P");
  line.add("out", out, "the file to write, such as predictions.h5");
  options.cache.add_to(line);
  options.placement.add_to(
      line, "ranks that infer in float32; all of them where that is the format",
      "ranks that infer on cards; all of them where the format is not float32");
  options.stalls.add_to(line);
  for (const char* name : {"checkpoint", "data", "out"}) line.require(name);
  if (!line.parse(arguments)) return false;
  if (options.format != "float32" && !quant::is_inference_format(options.format)) {
    throw UsageError(fmt::format("unknown format '{}' for inference", options.format),
                     "Known formats: float32, " + quant::inference_formats());
  }
  options.stalls.check();
  options.calibration = quant::parse_calibration(calibration);
  if (options.split != "train" && options.split != "test") {
    throw UsageError(fmt::format("unknown split '{}'", options.split), "Known splits: train, test");
  }
  options.checkpoint = checkpoint;
  options.data = data;
  options.out = out;
  return true;
}

/// Computes logits of images, uint8 [count, channels, height, width].
using Predict =
    std::function<std::vector<float>(std::span<const std::uint8_t> images, std::size_t count)>;

Predict predict_on_gpu(const Checkpoint& checkpoint, const Model& model, opencl::Device& device,
                       const Communicator& ranks) {
  const auto tuner = std::make_shared<plan::Tuner>(device);  // the plan goes on naming it
  const TrainedModel net = folded(model, checkpoint.parameters, checkpoint.statistics);
  const auto plan = make_host_by_host(ranks, *tuner, [&] {
    return std::make_shared<Plan>(
        device, net.model, checkpoint.input_statistics,
        PlanOptions{.batch = static_cast<int>(samples_at_once), .tuner = tuner.get()});
  });
  activity::enter("load", 0);
  plan->load_parameters(net.parameters);
  plan->load_statistics(net.statistics);
  return
      [tuner, plan](const auto& images, std::size_t count) { return plan->infer(images, count); };
}

/// What calibration counted; nothing where the ranges alone are asked for.
std::vector<quant::Histogram> histograms_of(const Checkpoint& checkpoint,
                                            const InferOptions& options) {
  if (options.calibration.method == quant::CalibrationMethod::max) return {};
  const std::size_t bins = quant::Histogram::bins, layers = checkpoint.calibration.size() - 1;
  if (checkpoint.histograms.size() != layers * bins) {
    throw Error(fmt::format("checkpoint {} holds no histograms", options.checkpoint.string()),
                "Train it anew, or infer with --calibration max");
  }
  std::vector<quant::Histogram> histograms(layers);
  for (std::size_t i = 0; i < checkpoint.histograms.size(); ++i)
    histograms[i / bins].counts()[i % bins] = static_cast<std::uint64_t>(checkpoint.histograms[i]);
  return histograms;
}

Predict predict_on_fpga(const Checkpoint& checkpoint, const Model& model, infer::Inference& engine,
                        const InferOptions& options) {
  if (checkpoint.calibration.size() != model.layers().size() + 1) {
    throw Error(fmt::format("checkpoint {} holds no calibration", options.checkpoint.string()),
                "Train it anew, or infer in float32");
  }
  const Plan::Ranges ranges{checkpoint.calibration.front(),
                            {checkpoint.calibration.begin() + 1, checkpoint.calibration.end()},
                            histograms_of(checkpoint, options)};
  const quant::Network network = plan::fpga_network(
      model, checkpoint.parameters, checkpoint.statistics, checkpoint.input_statistics, ranges);
  engine.load(quant::pack(network, options.format, checkpoint.step, options.calibration));
  return [&engine](const auto& images, std::size_t count) { return engine.run(images, count); };
}

/// This rank's share of the data set: logits [count, classes], and how many labels they hit.
struct Predictions {
  std::vector<float> logits;
  std::uint64_t correct = 0;
};

Predictions predict_share(ShardReader& reader, const Share& mine, const Predict& predict) {
  Predictions predictions;
  Batch batch;
  for (std::size_t done = 0; done < mine.count; done += samples_at_once) {
    activity::enter("input", 0);
    reader.read({.begin = mine.begin + done, .count = std::min(samples_at_once, mine.count - done)},
                batch);
    activity::enter("infer", 0);
    const std::vector<float> logits = predict(batch.images, batch.size());
    predictions.correct += score_logits(logits, batch.labels).correct;
    predictions.logits.insert(predictions.logits.end(), logits.begin(), logits.end());
  }
  return predictions;
}

/// All ranks' logits in the data set's order, on the lead.
std::vector<float> gather_logits(const Communicator& world, std::vector<float> mine,
                                 std::size_t samples, std::size_t classes) {
  if (!world.is_lead()) {
    world.send(mine, 0, logits_tag);
    return {};
  }
  mine.resize(samples * classes);
  for (int rank = 1; rank < world.size(); ++rank) {
    activity::enter("gather", 0, activity::Kind::wait);
    const Share share_of_rank =
        share(samples, static_cast<std::size_t>(rank), static_cast<std::size_t>(world.size()));
    world.receive(
        std::span(mine).subspan(share_of_rank.begin * classes, share_of_rank.count * classes), rank,
        logits_tag);
  }
  return mine;
}

void write_predictions(const std::filesystem::path& path, const std::vector<float>& logits,
                       std::size_t samples, std::size_t classes) {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < samples; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * classes);
    labels.push_back(static_cast<std::int32_t>(
        std::max_element(row, row + static_cast<std::ptrdiff_t>(classes)) - row));
  }
  replace_file(path, [&](const std::filesystem::path& aside) {
    hdf5::File file = hdf5::File::create(aside);
    file.write("/labels", {samples}, labels);
    file.write("/logits", {samples, classes}, logits);
    file.close();
  });
}

/// Before the work rather than behind it. What the job reads is never what it writes.
void expect_writable(const InferOptions& options) {
  namespace fs = std::filesystem;
  const fs::path& file = options.out;
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const auto refuse = [&](const char* what) {
    throw UsageError(fmt::format("--out {} {}", file.string(), what),
                     "Give another file's name, such as predictions.h5");
  };
  const auto same = [](const fs::path& a, const fs::path& b) {
    return fs::exists(a) && fs::exists(b) && fs::equivalent(a, b);
  };
  if (fs::is_directory(file)) refuse("is a folder");
  if (!file.has_filename()) refuse("names no file");
  if (fs::exists(file) && !fs::is_regular_file(file)) refuse("is no regular file");
  if (same(file, options.checkpoint)) refuse("is the checkpoint");
  if (same(folder, options.data)) refuse("lies in the data set's folder");
  make_writable_folder(folder);
}

/// Collective: takes the output for this job, and has it watched from here on.
void watch_over_predictions(JobWatch& watch, const Communicator& world,
                            const InferOptions& options) {
  const std::filesystem::path signs = options.signs();
  std::shared_ptr<FileLock> lock;
  if (world.is_lead()) {
    expect_writable(options);
    std::filesystem::create_directories(signs);
    const std::filesystem::path file = signs / "lock";
    lock = std::make_shared<FileLock>(
        FileLock::take_for_job(file, fmt::format("{} is being written", options.out.string())));
    for (const auto& entry : std::filesystem::directory_iterator(signs))
      if (entry.path() != file) std::filesystem::remove(entry);  // of a job that was killed
  }
  world.barrier();
  watch.begin(world, {.command = "infer",
                      .signs = signs,
                      .lock = lock,
                      .limits = options.stalls,
                      .remedy = [] { return "Look at that device and host, then start it anew"; },
                      .note_failure = {},
                      .clean =
                          [signs](bool /*started*/) {
                            std::error_code ignored;
                            std::filesystem::remove_all(signs, ignored);
                          }});
}

/// A job of predictions has one role: every rank takes it unless the counts say otherwise, which
/// throws UsageError.
Placement place_predictions(Communicator& world, InferOptions& options, bool on_fpga) {
  PlacementOptions& wanted = options.placement;
  if (!wanted.gpu_ranks && !wanted.fpga_ranks)
    (on_fpga ? wanted.fpga_ranks : wanted.gpu_ranks) = world.size();
  Placement placement = place_job(world, wanted);
  const std::size_t placed = placement.ranks_of(on_fpga ? Role::fpga : Role::gpu).size();
  if (placed != static_cast<std::size_t>(world.size())) {
    throw UsageError(
        fmt::format("{} runs on {} ranks alone", options.format, on_fpga ? "FPGA" : "GPU"),
        fmt::format("Give --{}-ranks {}", on_fpga ? "fpga" : "gpu", world.size()));
  }
  return placement;
}

int infer(Communicator& world, JobWatch& watch, const Arguments& arguments) {
  InferOptions options;
  if (!parse(arguments, options)) return 0;
  watch_over_predictions(watch, world, options);
  const bool on_fpga = options.format != "float32";
  const Placement placement = place_predictions(world, options, on_fpga);
  watch.placed(world, placement);
  activity::enter("checkpoint", 0);
  const Checkpoint checkpoint = load_checkpoint(options.checkpoint);
  const Model model = model_of(checkpoint);
  activity::enter("shards", 0);
  ShardReader reader(options.data, options.split);
  const SampleShape& shape = reader.manifest().shape;
  expect_model(checkpoint,
               make_model(checkpoint.model,
                          {static_cast<int>(shape.channels), static_cast<int>(shape.height),
                           static_cast<int>(shape.width)},
                          static_cast<int>(reader.manifest().classes), checkpoint.quantisation),
               options.checkpoint);

  std::optional<opencl::Device> device;
  std::optional<CardEngines> card;
  std::unique_ptr<infer::Inference> engine;
  Predict predict;
  if (on_fpga) {
    activity::enter("card", 0);
    card.emplace(placement.mine(), options.placement, std::vector{options.format});
    engine = card->open(options.format);
    activity::enter("load", 0);
    predict = predict_on_fpga(checkpoint, model, *engine, options);
  } else {
    activity::enter("device", 0);
    device.emplace(placement.mine().device.index, options.cache.folder());
    predict = predict_on_gpu(checkpoint, model, *device, world);
  }
  watch.started();
  const Stopwatch wall;
  const std::size_t classes = static_cast<std::size_t>(checkpoint.classes);
  const Share mine = share(reader.samples(), static_cast<std::size_t>(world.rank()),
                           static_cast<std::size_t>(world.size()));
  Predictions predictions = predict_share(reader, mine, predict);
  activity::enter("gather", 0, activity::Kind::wait);
  const std::uint64_t correct = world.all_reduce_sum(predictions.correct);
  const double seconds = world.all_reduce_max(wall.seconds());
  const std::vector<float> logits =
      gather_logits(world, std::move(predictions.logits), reader.samples(), classes);
  if (world.is_lead()) {
    activity::enter("write", 0);
    write_predictions(options.out, logits, reader.samples(), classes);
    const auto samples = static_cast<double>(reader.samples());
    log::note(fmt::format(
        "{} samples in {}: {:.2f} % right, {:.0f} samples a second{}; {}", reader.samples(),
        options.format, 100 * static_cast<double>(correct) / samples, samples / seconds,
        placement.mine().emulated ? " (emulated: no FPGA's speed)" : "", options.out.string()));
  }
  activity::enter("release", 0);  // of devices
  return 0;
}

}  // namespace

int run_infer(const Arguments& arguments) {
  return run_watched_job("infer", [&](Communicator& world, JobWatch& watch) {
    return infer(world, watch, arguments);
  });
}

}  // namespace dovetail::app

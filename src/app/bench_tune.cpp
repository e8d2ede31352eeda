// `dovetail bench tune`, and `bench --tune` alone.
#include <algorithm>

#include "app/bench_commands.hpp"
#include "device/opencl/keep_programs.hpp"
#include "support/clock.hpp"
#include "support/text.hpp"

namespace dovetail::app {

void bench_tune(const Bench& bench) {
  const Model model = make_bench_model(bench.options);
  plan::Tuner tuner = bench.tuner();
  const Stopwatch watch;
  opencl::keep_programs_everywhere();
  const auto reduce = bench::make_all_reduce(bench.world, bench.device, model, bench.options.step);
  make_host_by_host(bench.world, tuner, [&] {
    return bench::training_plan(tuner, bench.device, model, bench.options.step, bench.world.size(),
                                *reduce);
  });
  const auto& builds = bench.device.builds();
  const auto measured = static_cast<int>(std::ranges::count(
      tuner.choices(), plan::Tuner::Origin::measured, &plan::Tuner::Choice::origin));
  const std::string where =
      bench.device.cache() ? bench.device.cache()->folder().string() : "nowhere (--no-cache)";
  bench.write(fmt::format("{}\n{}{} in {:.2f} s, {} built and {} loaded; kept in {}",
                          bench.device.info().name, tuner.to_text(),
                          counted(tuner.choices().size(), "choice"), watch.seconds(),
                          counted(static_cast<std::uint64_t>(builds.compiled), "program"),
                          builds.loaded, where),
              {{"benchmark", "tune"},
               {"device", bench.device.info().name},
               {"driver", bench.device.info().driver},
               {"model", bench.options.model},
               {"batch", bench.options.step.batch},
               {"format", to_string(bench.options.step.format)},
               {"seconds", watch.seconds()},
               {"programs_compiled", builds.compiled},
               {"programs_loaded", builds.loaded},
               {"by_rank",
                {{"measured", bench.world.all_gather(measured)},
                 {"programs_compiled", bench.world.all_gather(builds.compiled)}}},
               {"choices", tuner.details()}});
}

}  // namespace dovetail::app

"""Energy: from counters of a made-up machine, and the estimate where there are none."""

from __future__ import annotations

import os
import time

import pytest

from repro import energy
from repro.energy import NVML, EnergyMeter, Rapl

RANGE = 1_000_000


def zone(root, number, name, microjoules):
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(exist_ok=True)
    for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", RANGE)):
        (folder / file).write_text(f"{value}\n")
    return folder


class Library:
    """Stands for libnvidia-ml: GPUs with a UUID and a counter; None for a GPU that has no counter."""

    def __init__(self, **gpus):
        self.gpus, self.open = gpus, 0

    def nvmlInit_v2(self):
        self.open += 1
        return 0

    def nvmlShutdown(self):
        self.open -= 1
        return 0

    def nvmlSystemGetDriverVersion(self, text, size):
        text.value = b"570.1"
        return 0

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = len(self.gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, place, handle):
        handle._obj.value = place.value + 1
        return 0

    def nvmlDeviceGetUUID(self, handle, text, size):
        text.value = f"GPU-{list(self.gpus)[handle.value - 1]}".encode()
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, energy):
        value = list(self.gpus.values())[handle.value - 1]
        if value is None:
            return 3  # NVML_ERROR_NOT_SUPPORTED
        energy._obj.value = value
        return 0


def test_packages_are_added_up_and_their_parts_are_not(tmp_path):
    zone(tmp_path, "0", "package-0", 100_000)
    zone(tmp_path, "1", "package-1", 500_000)
    zone(tmp_path, "0:0", "core", 0)
    zone(tmp_path, "2", "psys", 0)
    with EnergyMeter(tmp_path, Library()) as meter:
        zone(tmp_path, "0", "package-0", 350_000)
        zone(tmp_path, "1", "package-1", 600_000)
        zone(tmp_path, "0:0", "core", 200_000)
        zone(tmp_path, "2", "psys", 400_000)
        found = meter.read()
    assert found.joules == pytest.approx(0.25 + 0.1)
    assert found.source == "RAPL: package-0, package-1, whole, with all that ran there"


def test_a_counter_that_starts_anew_is_put_right(tmp_path):
    zone(tmp_path, "0", "package-0", 900_000)
    rapl = Rapl(tmp_path)
    rapl.read()
    for microjoules in (50_000, 950_000, 10_000):  # anew, on, and anew again
        zone(tmp_path, "0", "package-0", microjoules)
        rapl.read()
    assert rapl.microjoules == 150_000 + 900_000 + 60_000


def test_counters_are_read_now_and_then_so_that_none_starts_anew_twice_unseen(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "SECONDS_BETWEEN_READINGS", 0.01)
    zone(tmp_path, "0", "package-0", 0)
    with EnergyMeter(tmp_path, Library()) as meter:
        for microjoules in (600_000, 200_000, 800_000, 400_000):  # 0.6 J each time
            (tmp_path / "intel-rapl:0" / "next").write_text(f"{microjoules}\n")
            (tmp_path / "intel-rapl:0" / "next").replace(tmp_path / "intel-rapl:0" / "energy_uj")
            until = time.monotonic() + 10
            while meter._rapl._last["package-0"] != microjoules and time.monotonic() < until:
                time.sleep(0.005)
        assert meter.read().joules == pytest.approx(2.4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every counter")
def test_counters_for_root_alone_leave_the_estimate_where_permissions_count(tmp_path):
    (zone(tmp_path, "0", "package-0", 1) / "energy_uj").chmod(0)
    with EnergyMeter(tmp_path, Library()) as meter:
        assert meter.read().source.startswith("estimate: ")


@pytest.mark.parametrize("broken", ["energy_uj", "max_energy_range_uj"])
def test_packages_of_which_one_cannot_be_read_leave_the_estimate(tmp_path, broken):
    zone(tmp_path, "0", "package-0", 1)
    (zone(tmp_path, "1", "package-1", 1) / broken).unlink()
    with EnergyMeter(tmp_path, Library()) as meter:
        assert meter.read().source.startswith("estimate: ")


def test_a_gpu_is_measured_by_its_own_counter_and_others_are_left_out(tmp_path):
    zone(tmp_path, "0", "package-0", 1)
    library = Library(a=5_000, b=70_000, c=900)
    with EnergyMeter(tmp_path, library) as meter:
        library.gpus = {"a": 8_500, "b": 99_000, "c": 1_000}
        assert meter.read(["GPU-a"]) == energy.Energy(3.5, "NVML: 1 GPU, without the host")
        assert meter.read(["GPU-a", "GPU-c"]) == energy.Energy(3.6, "NVML: 2 GPUs, without the host")
        assert meter.read().source.startswith("RAPL")  # a run on the processor of a machine that has GPUs
        assert library.open == 1
    assert library.open == 0


def test_a_gpu_without_a_counter_is_said_to_be_missing(tmp_path):
    library = Library(a=None)
    with EnergyMeter(tmp_path, library) as meter:
        assert meter.read(["GPU-a"]).source.endswith("10 W a core, without the GPU")
    zone(tmp_path, "0", "package-0", 1)
    with EnergyMeter(tmp_path, library) as meter:
        assert meter.read(["GPU-a"]).source == "RAPL: package-0, whole, with all that ran there, without the GPU"


def test_a_driver_from_before_the_counter_is_no_error(tmp_path, monkeypatch):
    monkeypatch.delattr(Library, "nvmlDeviceGetTotalEnergyConsumption")
    with EnergyMeter(tmp_path, Library(a=1)) as meter:
        assert meter.read(["GPU-a"]).source.startswith("estimate")


def test_the_driver_has_a_version_and_no_driver_has_none(monkeypatch):
    assert NVML(Library()).driver() == "570.1"

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(energy.ctypes, "CDLL", missing)
    assert NVML().driver() is None
    assert NVML().millijoules() == {}


def test_the_estimate_counts_busy_seconds_of_the_process_and_of_its_children(tmp_path, monkeypatch):
    ends = iter([os.times_result((1.0, 2.0, 3.0, 4.0, 99.0)), os.times_result((5.0, 2.5, 6.0, 5.0, 199.0))])
    monkeypatch.setattr(energy.os, "times", lambda: next(ends))
    with EnergyMeter(tmp_path, Library()) as meter:
        found = meter.read()
    assert found.joules == pytest.approx(8.5 * 10)  # 4 + 0.5 + 3 + 1 seconds at 10 W
    assert found.source == "estimate: 8.5 CPU seconds x 10 W a core"

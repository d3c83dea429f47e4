"""Samples for torch without a job; in jobs: test_jobs.py."""

import pytest

torch = pytest.importorskip("torch")

import psrun  # noqa: E402

DATASET = torch.utils.data.TensorDataset(torch.arange(50))


def numbers(loader):
    return [number for (batch,) in loader for number in batch.tolist()]


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_every_pass_has_every_sample(options):
    loader = psrun.DataLoader(DATASET, batch_size=8, **options)
    first, second = numbers(loader), numbers(loader)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert len(loader) == 7


def test_a_loop_that_is_left_early_begins_anew():
    loader = psrun.DataLoader(DATASET, batch_size=8, num_workers=2)
    for _ in range(2):
        for (batch,) in loader:
            assert len(batch) == 8
            break
    assert sorted(numbers(loader)) == list(range(50))


def test_what_is_dropped_and_in_order():
    loader = psrun.DataLoader(DATASET, batch_size=8, shuffle=False, drop_last=True)
    assert numbers(loader) == list(range(48)) and len(loader) == 6


def test_a_sampler_for_others():
    loader = torch.utils.data.DataLoader(DATASET, batch_size=8, sampler=psrun.sampler(DATASET))
    assert sorted(numbers(loader)) == sorted(numbers(loader)) == list(range(50))


def test_what_cannot_be_leased_is_refused_in_words():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(3))

    with pytest.raises(TypeError, match="IterableDataset has no samples"):
        psrun.DataLoader(Endless())
    with pytest.raises(TypeError, match="sampler is not taken"):
        psrun.DataLoader(DATASET, sampler=range(3))
    with pytest.raises(ValueError, match="batch_size=0"):
        psrun.DataLoader(DATASET, batch_size=0)


def test_two_loaders_take_turns():
    one, other = (psrun.DataLoader(DATASET, batch_size=8) for _ in range(2))
    for _ in one:
        with pytest.raises(RuntimeError, match="in the middle of a pass"):
            numbers(other)
        break
    assert sorted(numbers(other)) == list(range(50)) == sorted(numbers(one))
